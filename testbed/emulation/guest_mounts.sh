# The first steps of every guest, sourced by its init: /proc, /sys, and on /mnt the modules of its
# kernel, where `modprobe -d /mnt` looks for them.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
# Without root outside, setuid programs seem to be nobody's, and would run as such. By way of the
# loader, `mount` is not setuid; and then nothing is.
/lib64/ld-linux-x86-64.so.2 /bin/mount -o remount,nosuid / 2>/dev/null || true
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t tmpfs tmpfs /mnt
mkdir -p /mnt/lib
ln -s /usr/lib/uml/modules /mnt/lib/modules
