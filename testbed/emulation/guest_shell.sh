#!/bin/sh
# The first process of a guest kernel that runs one command, over the host's own files. The folder
# with the command is in the environment, as FOLDER; the exit code is left there.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
# Without root outside, setuid programs seem to be nobody's, and would run as such. By way of the
# loader, `mount` is not setuid; and then nothing is.
/lib64/ld-linux-x86-64.so.2 /bin/mount -o remount,nosuid / 2>/dev/null
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
mkdir -p /dev/shm /dev/pts
mount -t tmpfs tmpfs /dev/shm
mount -t devpts devpts /dev/pts
mount -t tmpfs tmpfs /mnt
mkdir -p /mnt/lib
ln -s /usr/lib/uml/modules /mnt/lib/modules
modprobe -d /mnt -a sch_netem sch_htb sch_tbf bridge veth dummy tun 2>/dev/null
modprobe -d /mnt -a openvswitch 2>/dev/null
ip link set dev lo up
stty raw </dev/ttyS0
stty raw </dev/ttyS1
sh "$FOLDER/command.sh" </dev/null >/dev/ttyS0 2>/dev/ttyS1
echo $? >"$FOLDER/code"
