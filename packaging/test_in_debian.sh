#!/usr/bin/env bash
# Installs the package in a bare Debian 12, where nothing of kdef was ever built; trains, predicts, and scores from C there;
# then does the same with the archive, unpacked in a folder. Usage: packaging/test_in_debian.sh DEB ARCHIVE
# It needs root and debootstrap, and ends with 77 where it may not run. KDEF_DEBIAN_MIRROR names a mirror; otherwise it is
# the one that apt uses here.
set -euo pipefail

say() { printf 'bare Debian: %s\n' "$*" >&2; }
skip() {
  say "skipped: $*"
  exit 77
}

(($# == 2)) && [[ -f $1 && -f $2 ]] || { say "usage: $0 DEB ARCHIVE"; exit 2; }
deb=$(realpath "$1") archive=$(realpath "$2")
((EUID == 0)) || skip "a Debian root is made by root alone"
command -v debootstrap >/dev/null || skip "there is no debootstrap"
mirror=${KDEF_DEBIAN_MIRROR:-$(apt-get indextargets --format '$(SITE)' 2>/dev/null | grep -v security | head -n 1)}
[[ $mirror ]] || skip "apt has no mirror here; name one by KDEF_DEBIAN_MIRROR"
example=$(dirname "${BASH_SOURCE[0]}")/../bindings/c/examples/score.c

root=$(mktemp -d)
trap 'umount "$root/proc" 2>/dev/null || true; rm -rf "$root"' EXIT
say "debootstrap from $mirror"
debootstrap --variant=minbase bookworm "$root" "$mirror" >"$root.log" 2>&1 || { tail -n 20 "$root.log" >&2; exit 3; }
rm -f "$root.log"
mount -t proc proc "$root/proc" || skip "/proc cannot be mounted in it"
cp /etc/resolv.conf "$root/etc/"
cp "$deb" "$root/kdef.deb"
cp "$archive" "$root/kdef.tar.gz"
cp "$example" "$root/score.c"
inside() { chroot "$root" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C DEBIAN_FRONTEND=noninteractive OMP_NUM_THREADS=1 "$@"; }
packages() {
  inside apt-get -y -q -o Dpkg::Use-Pty=0 "$@" >"$root/apt.log" 2>&1 || { tail -n 20 "$root/apt.log" >&2; exit 3; }
}
packages update
# The package brings what it needs; the compiler and pkg-config are for the example.
packages install --no-install-recommends /kdef.deb
say "installed: $(du -sh "$root/usr/lib/kdef" | cut -f 1) in /usr/lib/kdef"
packages install --no-install-recommends gcc libc6-dev pkg-config

# For every level that this processor has: all of them see the same data and start from the same seed.
inside kdef --version
levels=$(inside sh -c 'KDEF_ISA=none kdef --version 2>&1 || true' | sed 's/.* have //; s/ or /, /; s/, / /g')
for level in $levels; do
  inside KDEF_ISA="$level" kdef --version | grep -q -e "-march=${level%-bf16};" || { say "$level does not run"; exit 1; }
done
inside sh -ec '
  kdef synth --rows 4000 --out data >log 2>&1
  kdef train --config data --expid KDEF --run run epochs=2 >>log 2>&1
  gcc -std=c99 -Wall -Werror score.c $(pkg-config --cflags --libs kdef) -o score'
for level in $levels; do
  inside KDEF_ISA="$level" sh -ec 'kdef predict --run run --data data/test.csv --out $KDEF_ISA.txt >>log 2>&1; ./score run >$KDEF_ISA.c'
done
# Predictions of the levels differ by rounding alone.
inside sh -ec 'for level; do paste "$1.txt" $level.txt; done | awk "
  { d = \$1 - \$2; if (d < 0) d = -d; if (d > most) most = d }
  END { printf \"%d predictions; levels differ by at most %.1e\\n\", NR, most; exit !(NR && most < 1e-5) }"' - $levels
inside cat "${levels##* }.c"

# The archive needs the libraries that the package brought, and no other file of the package.
inside dpkg -r kdef >/dev/null
inside sh -ec 'tar xzf kdef.tar.gz
  cd kdef-*
  bin/kdef predict --run /run --data /data/test.csv --out /archive.txt >/dev/null 2>&1
  export PKG_CONFIG_PATH=$PWD/lib/pkgconfig LD_LIBRARY_PATH=$PWD/lib
  gcc -std=c99 /score.c $(pkg-config --cflags --libs kdef) -o /score
  /score /run >/archive.c'
inside cmp archive.txt "${levels##* }.txt"
inside cmp archive.c "${levels##* }.c"

# Other processors.
if command -v qemu-x86_64 >/dev/null; then
  cd "$root"
  status=0
  message=$(qemu-x86_64 -cpu core2duo -L "$root" "$root"/kdef-*/bin/kdef --version 2>&1) || status=$?
  [[ $status == 3 && $message == *"lacks"* ]] || { say "a processor without SSE4.2: status $status: $message"; exit 1; }
fi
say "passed for ${levels// /, }"
