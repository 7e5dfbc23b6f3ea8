# bkp@: its sandbox reads everybody's files, writes nowhere but where it may, and lets restic work. Sourced by `run`.

inside sh -c 'umask 077; mkdir -p /media/sealed/private; echo hidden >/media/sealed/private/file; ln -s file /media/sealed/private/link
    chown -R 1234:1234 /media/sealed; mkdir /srv/restic'
put etc/restic/sealed.conf 600 <<<$'RESTIC_REPOSITORY=/srv/restic\nRESTIC_PASSWORD=demo'
put usr/local/bin/probe 755 <<'PROBE'
#!/bin/sh
set -eu
cat /media/sealed/private/file
for place in /media/sealed /etc /root /usr /var/lib; do
    ! touch "$place/written" 2>/dev/null || { echo "$place can be written"; exit 1; }
done
[ "$BKP_FILES $BKP_APP $RESTIC_DAYS_TO_KEEP" = "/media/sealed sealed 7" ]
restic init --quiet
cd "$BKP_FILES"
restic backup --quiet .
PROBE
put etc/systemd/system/bkp@sealed.service.d/probe.conf 644 <<<$'[Service]\nReadWritePaths=/srv/restic\nExecStart=\nExecStart=/usr/local/bin/probe'
reload
succeeds bkp@sealed
says bkp@sealed hidden
inside sh -c 'RESTIC_PASSWORD=demo restic -r /srv/restic restore latest --quiet --target /srv/restored && diff -r /media/sealed /srv/restored' ||
    die "what was saved is not what is there"
inside test -d /var/cache/bkp/sealed || die "restic has no cache of its own"
