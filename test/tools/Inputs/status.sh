# Runs a command; its errors join its output, and the last line is its exit status: what FileCheck cannot see otherwise.
"$@" 2>&1
echo "exit $?"
