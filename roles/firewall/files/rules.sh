#!/bin/sh
# The steps by which rules come into force, each of which a power cut may interrupt: what is loaded at boot is rules.nft,
# and that is replaced last.
# usage: rules.sh compare | try SECONDS | confirm
set -eu
cd /etc/cerebrum/firewall
undo=cerebrum-firewall-undo
table() { nft --stateless list table inet cerebrum 2>/dev/null; }

case $1 in
compare) # 0: the kernel, and the file that is loaded at boot, hold what wanted.nft says
    cmp -s wanted.nft rules.nft || exit 1
    # As the kernel tells it: loaded into a network of its own, where nothing passes.
    wanted=$(unshare --net sh -c 'nft -f wanted.nft && nft --stateless list table inet cerebrum')
    [ "$wanted" = "$(table)" ] || exit 1
    ;;
try)
    systemctl stop $undo.timer 2>/dev/null || true # an earlier run's, that was interrupted
    systemd-run --quiet --on-active="$2" --timer-property=AccuracySec=100ms --unit=$undo.service
    nft -f wanted.nft || { systemctl stop $undo.timer; exit 1; }
    ;;
confirm) # 3: too late
    [ "$(systemctl show --property=SubState --value $undo.timer)" = waiting ] || exit 3
    cp wanted.nft rules.nft.new
    sync rules.nft.new
    mv rules.nft.new rules.nft
    sync .
    systemctl stop $undo.timer
    ;;
esac
