#!/bin/sh
# The life of the package ($PACKAGE) on a Debian that has what every Debian has, and systemd: $1 is its root.
set -eu
root=$1

step() {
    echo "== $*"
}

inside() {
    chroot "$root" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin "$@"
}

# As a user of no name, as the service does.
nobody() {
    inside setpriv --reuid=61234 --regid=61234 --clear-groups "$@"
}

# What is there, but for the records of what was installed when.
listing() {
    (cd "$root" && find . -xdev -path ./proc -prune -o -path ./sys -prune -o -path ./dev -prune \
        -o -path ./var/lib/dpkg -prune -o -path ./var/log -prune -o -path ./var/cache -prune \
        -o -print | LC_ALL=C sort)
}

before=$(listing)
install_package() {
    cp "$PACKAGE" "$root/package.deb"
    inside dpkg --install /package.deb
    rm "$root/package.deb"
}

step install
install_package
inside dpkg --verify hotspare
for unit in hotspare.service hotspare.socket; do
    state=$(systemctl --root="$root" is-enabled "$unit" || true)
    [ "$state" = disabled ] || { echo "$unit is $state"; exit 1; }
done

step "the configuration as installed"
nobody hotspare check >"$root/said"
grep "^from here: 1 target," "$root/said"
rm "$root/said"

step "the unit"
systemd-analyze --root="$root" --man=no verify /usr/lib/systemd/system/hotspare.service

step "the daemon as the unit starts it"
mkdir "$root/run/hotspare"
chown 61234:61234 "$root/run/hotspare"
log=$root/run/hotspare/log
chroot "$root" setpriv --reuid=61234 --regid=61234 --clear-groups /usr/bin/hotspare run \
    --config.file=/etc/hotspare/hotspare.yaml --web.listen-address=unix:/run/hotspare/hotspare.sock \
    >"$log" 2>&1 &
daemon=$!
trap 'kill -9 "$daemon" 2>/dev/null || true' EXIT
tries=0
# Nobody says where: it is found by the socket.
until nobody hotspare healthy; do
    tries=$((tries + 1))
    [ "$tries" -lt 600 ] || { cat "$log"; exit 1; }
    sleep 0.1
done
kill "$daemon"
wait "$daemon"
trap - EXIT
rm -r "$root/run/hotspare"

step "what an operator changes, and what the daemon writes, outlives an upgrade and a removal"
echo "# mine" >>"$root/etc/hotspare/hotspare.yaml"
mkdir -p "$root/var/lib/private/hotspare"
touch "$root/var/lib/private/hotspare/journal"
ln -s private/hotspare "$root/var/lib/hotspare"
systemctl --root="$root" enable hotspare.service
install_package
grep -q "# mine" "$root/etc/hotspare/hotspare.yaml"
[ "$(systemctl --root="$root" is-enabled hotspare.service)" = enabled ]
inside dpkg --remove hotspare
grep -q "# mine" "$root/etc/hotspare/hotspare.yaml"
[ -e "$root/var/lib/hotspare/journal" ]
[ ! -e "$root/usr/bin/hotspare" ]

step purge
inside dpkg --purge hotspare
after=$(listing)
if [ "$before" != "$after" ]; then
    printf '%s\n' "$before" >"$root/before"
    printf '%s\n' "$after" | diff "$root/before" - || true
    exit 1
fi
step "nothing is left"
