# What Kubernetes mounts into a container, in a mount namespace that ends with it; becomes the command, with /dev/termination-log being
# the file LOG.
#
# termination-log.sh ROOM LOG COMMAND ARGUMENT...      ROOM: an empty directory
set -eu
room=$1 log=$2
shift 2
# The machine's own /dev is not touched.
mount -t tmpfs -o mode=755 dev "$room"
for node in null zero random urandom; do
    : >"$room/$node"
    mount --bind "/dev/$node" "$room/$node"
done
ln -s /proc/self/fd "$room/fd"
mkdir "$room/shm"
: >"$room/termination-log"
mount --bind "$log" "$room/termination-log"
mount --rbind "$room" /dev
exec "$@"
