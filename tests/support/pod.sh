# A pod: its own host name and its own root, in which bkp is installed under its old names and volumes are where manifests put
# them. All of it is in a mount namespace, and gone with it; the process becomes the command, so signals reach that.
#
# pod.sh ROOT HOST BKP RESTIC VOLUMES COMMAND ARGUMENT...      VOLUMES: a file of lines "SOURCE TARGET [ro]"
set -eu
root=$1 host=$2 bkp=$3 restic=$4 volumes=$5
shift 5
hostname "$host"
mount -t tmpfs -o mode=755 pod "$root"

mirror() { # a directory of this machine; the names in it that are left out
    mkdir -p "$root$1"
    for entry in "$1"/*; do
        name=${entry##*/}
        case " $2 " in *" $name "*) continue ;; esac
        if [ -L "$entry" ]; then
            cp -P "$entry" "$root$1/"
        elif [ -d "$entry" ]; then
            mkdir "$root$entry"
            mount --rbind "$entry" "$root$entry"
        fi
    done
}
mirror "" "var run media conf"
mirror /var "backups run lock"
mkdir -p "$root/run"
ln -s ../run "$root/var/run"

mount -t tmpfs programs "$root/usr/local/bin"
ln -s "$restic" "$root/usr/local/bin/restic"
for name in bkp init.bb backup.bb restore.bb list-snapshots.bb change-password.bb wait.bb \
    init.sh backup.sh restore.sh list-snapshots.sh restic-snapshots.sh; do
    ln -s "$bkp" "$root/usr/local/bin/$name"
done
for name in entrypoint.sh entrypoint-start-and-wait.sh backup.sh; do
    ln -s "$bkp" "$root/$name"
done

while read -r source target how; do
    if [ -d "$source" ]; then
        mkdir -p "$root$target"
    else
        mkdir -p "$(dirname "$root$target")"
        [ -e "$root$target" ] || : >"$root$target"
    fi
    mount --bind "$source" "$root$target"
    [ "$how" != ro ] || mount -o remount,bind,ro "$root$target"
done <"$volumes"
exec chroot "$root" "$@"
