# Jira as docs/jira.md has it: the overlay on a new host, an export that is lost, and lies where Jira imports it. Sourced by `run`.

# shellcheck source=tests/kubernetes/apps/words.sh
. "$here/apps/words.sh"
start_s3
open_app jira jira-pvc 901

as_owner "mkdir export import data && echo an export >export/2026-Nov-20--2300.zip && echo another >export/before-the-upgrade.zip && echo more >data/attachment"
exports=$(inside sh -c "cd $files/export && sha256sum *.zip")
kept=$(inside sha256sum "$files/data/attachment")

as_written "Instead of today's image" 2 "k8s/apps/jira"
as_written "Instead of today's image" 1 "set image"
as_written "The first time" 1 "bkp init"
as_written "A backup by hand" 1 "bkp backup"
inside sh -c "rm $files/export/*"
as_written "A restore" 1 "bkp restore"
said "2026-Nov-20--2300.zip"
same "the exports, and what lies in import/" "$exports" "$(inside sh -c "cd $files/import && sha256sum *.zip")"
same "their owner" "901:901" "$(inside stat -c %u:%g "$files/import/before-the-upgrade.zip")"
same "what else is on the volume" "$kept" "$(inside sha256sum "$files/data/attachment")"
as_written "Another password for the repository" 1 "bkp change-password"
as_owner "echo a third >export/third.zip"
night backup
close_app
