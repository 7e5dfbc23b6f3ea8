# bkp@'s sandbox: it reads everybody's files, and writes nowhere but where it may. A probe stands before the backup. Sourced by `run`.

inside sh -c 'umask 077; mkdir -p /media/sealed/private /srv/sealed; echo hidden >/media/sealed/private/file; chown -R 1234:1234 /media/sealed'
put etc/bkp/sealed.conf 600 <<<$'RESTIC_REPOSITORY=/srv/sealed\nRESTIC_PASSWORD=demo'
put usr/local/bin/probe 755 <<'PROBE'
#!/bin/sh
set -eu
cat /media/sealed/private/file
for place in /media/sealed /media/sealed/private /etc /root /usr /var/lib /home /sys/fs/cgroup; do
    ! touch "$place/written" 2>/dev/null || { echo "$place can be written"; exit 1; }
done
[ "$BKP_FILES $BKP_APP $RESTIC_DAYS_TO_KEEP" = "/media/sealed sealed 7" ]
PROBE
put etc/systemd/system/bkp@sealed.service.d/probe.conf 644 <<<$'[Service]\nReadWritePaths=/srv/sealed\nExecStartPre=/usr/local/bin/probe'
reload
inside systemd-run --quiet --pipe --wait -p EnvironmentFile=/etc/bkp/sealed.conf -E BKP_APP=sealed -E BKP_FILES=/media/sealed bkp init >"$work/said" 2>&1 ||
    die "bkp init: $(cat "$work/said")"
succeeds bkp@sealed
says bkp@sealed hidden
# Read by the distribution's restic, and nothing of ours.
inside sh -c 'RESTIC_PASSWORD=demo /usr/bin/restic -r /srv/sealed --no-cache restore latest --quiet --target /srv/restored && diff -r /media/sealed /srv/restored' ||
    die "what was saved is not what is there"
