#!/usr/bin/env bash
# A training step of two processes on two network namespaces of this machine, which a link of RATE joins, as of two machines.
# usage: two_hosts.sh KDEF RATE [options of kdef bench step]     RATE as tc has it: 1gbit
#
# Needs root, iproute2 and Open MPI. Each process has one core. The link shapes the rate in both directions (tc's token bucket);
# it adds no latency, since that needs netem.
set -euo pipefail
if (($# < 2)) || ((EUID)); then
  sed -n '2,6s/^# \{0,1\}//p' "$0" >&2
  exit 2
fi
kdef=$(realpath "$1") rate=$2
shift 2
agent=$(mktemp)
end() {
  ip netns del kdef-a 2>/dev/null || true
  ip netns del kdef-b 2>/dev/null || true
  rm -f "$agent"
}
trap end EXIT
printf '#!/bin/sh\nshift\nexec ip netns exec kdef-b sh -c "$*"\n' >"$agent"
chmod +x "$agent"
for name in a b; do
  ip netns add "kdef-$name"
  ip -n "kdef-$name" link set lo up
done
ip link add kdef-to-b netns kdef-a type veth peer name kdef-to-a netns kdef-b
address=1
for place in "kdef-a kdef-to-b" "kdef-b kdef-to-a"; do
  read -r name device <<<"$place"
  ip -n "$name" address add "10.77.0.$address/24" dev "$device"
  ip -n "$name" link set "$device" up
  ip netns exec "$name" tc qdisc add dev "$device" root tbf rate "$rate" burst 256kb latency 100ms
  address=$((address + 1))
done
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
ip netns exec kdef-a mpirun --host 10.77.0.1:1,10.77.0.2:1 -n 2 --bind-to none --mca plm_rsh_agent "$agent" \
  --mca btl tcp,self --mca btl_tcp_if_include 10.77.0.0/24 --mca oob_tcp_if_include 10.77.0.0/24 \
  "$kdef" bench step --threads 1 "$@"
