#!/usr/bin/env bash
# A training step of two processes on two network namespaces of this machine, which a link of RATE joins, as of two machines.
# usage: two_hosts.sh KDEF RATE MICROSECONDS [options of kdef bench step]     RATE as tc has it: 1gbit
#
# Needs root, iproute2 and Open MPI with its compiler mpicxx. Each process has one core. The link shapes the rate in both
# directions (tc's token bucket). The kernel's netem would add latency and is often missing: instead every call that the
# processes make together begins MICROSECONDS later (bench/mpi_latency.cpp).
set -euo pipefail
if (($# < 3)) || ((EUID)); then
  sed -n '2,8s/^# \{0,1\}//p' "$0" >&2
  exit 2
fi
kdef=$(realpath "$1") rate=$2 microseconds=$3
shift 3
a=kdef-a-$$ b=kdef-b-$$  # the namespaces
agent=$(mktemp) latency=$(mktemp --suffix=.so)
end() {
  ip netns del "$a" 2>/dev/null || true
  ip netns del "$b" 2>/dev/null || true
  rm -f "$agent" "$latency"
}
trap end EXIT
sources=$(dirname "${BASH_SOURCE[0]}")/..
mpicxx -O2 -shared -fPIC "-I$sources" "$sources/bench/mpi_latency.cpp" -o "$latency"
printf '#!/bin/sh\nshift\nexec ip netns exec %s sh -c "$*"\n' "$b" >"$agent"
chmod +x "$agent"
for name in "$a" "$b"; do
  ip netns add "$name"
  ip -n "$name" link set lo up
done
ip link add kdef-to-b netns "$a" type veth peer name kdef-to-a netns "$b"
address=1
for place in "$a kdef-to-b" "$b kdef-to-a"; do
  read -r name device <<<"$place"
  ip -n "$name" address add "10.77.0.$address/24" dev "$device"
  ip -n "$name" link set "$device" up
  ip netns exec "$name" tc qdisc add dev "$device" root tbf rate "$rate" burst 256kb latency 100ms
  address=$((address + 1))
done
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
ip netns exec "$a" mpirun --host 10.77.0.1:1,10.77.0.2:1 -n 2 --bind-to none --mca plm_rsh_agent "$agent" \
  --mca btl tcp,self --mca btl_tcp_if_include 10.77.0.0/24 --mca oob_tcp_if_include 10.77.0.0/24 \
  env KDEF_LATENCY_US="$microseconds" LD_PRELOAD="$latency" "$kdef" bench step --threads 1 "$@"
