#!/bin/sh
# The first process of a guest kernel that runs one command, over the host's own files. The folder
# with the command is in the environment, as FOLDER; the exit code is left there.
. "${0%/*}/guest_mounts.sh"
mount -t devtmpfs dev /dev
mkdir -p /dev/shm /dev/pts
mount -t tmpfs tmpfs /dev/shm
mount -t devpts devpts /dev/pts
modprobe -d /mnt -a sch_netem sch_htb sch_tbf bridge veth dummy tun 2>/dev/null
modprobe -d /mnt -a openvswitch 2>/dev/null
ip link set dev lo up
stty raw </dev/ttyS0
stty raw </dev/ttyS1
sh "$FOLDER/command.sh" </dev/null >/dev/ttyS0 2>/dev/ttyS1
echo $? >"$FOLDER/code"
