#!/bin/sh
# The first process of a guest kernel that is a wire: bridges vec0 and vec1, and then is tc, which
# takes commands from the console. When tc ends, so does the guest.
set -e
exec 2>&1
echo "guest wire starts"
. "${0%/*}/guest_mounts.sh"
modprobe -d /mnt -a sch_netem bridge
sysctl -q -w net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1
ip link add name bridge type bridge stp_state 0 forward_delay 0 mcast_snooping 0
for interface in vec0 vec1; do
    ethtool -K $interface tx off sg off tso off gso off gro off >/dev/null 2>&1 || true
    ip link set dev $interface up master bridge
done
ip link set dev bridge up
echo 1 >/proc/sys/kernel/printk # what the kernel says must not get among tc's answers
stty raw -echo
echo "guest wire ready"
exec tc -force -s -j -batch -
