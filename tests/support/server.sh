# Runs one server for as long as somebody holds the other end of this shell's standard input; then nothing of it remains.
#
# $1 is the cluster's directory, the rest is the server's command line. The parent's death closes the pipe, whatever it died
# of (the kernel's own parent-death signal follows the thread that started the child, and tests are threads).
# A line `fast` or `immediate` stops the server and keeps the directory, to be started again.
trap '' INT TERM HUP
dir=$1
shift
"$@" </dev/null >>"$dir/log" 2>&1 &
server=$!
# Who waits for the start learns by it that the server has ended; its log tells of clients' errors as well.
echo "$server" >"$dir/server.pid"
wish=gone
read -r wish || wish=gone
case $wish in
fast) kill -INT "$server" ;;
*) kill -QUIT "$server" ;;
esac 2>/dev/null
wait "$server"
if [ "$wish" = gone ]; then rm -rf -- "$dir"; fi
