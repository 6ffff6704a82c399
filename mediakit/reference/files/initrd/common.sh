# Command line, drivers, waiting, giving up.

say() { echo "engine: $*"; }

read_command_line() {
    SLOT= WHY= MODE=normal ESP_ID= MEDIUM= TASK=install FINDISO= BREAK=
    read -r CMDLINE </proc/cmdline
    for word in $CMDLINE; do
        case "$word" in
            engine.slot=*) SLOT=${word#*=} ;;
            engine.why=*) WHY=${word#*=} ;;
            engine.mode=*) MODE=${word#*=} ;;
            engine.esp=*) ESP_ID=${word#*=} ;;
            engine.medium=*) MEDIUM=${word#*=} ;;
            engine.task=*) TASK=${word#*=} ;;
            engine.break) BREAK=1 ;;
            findiso=*) FINDISO=${word#*=} ;;
        esac
    done
}

LOADED_AT=

# Load what the hardware asks for, as far as the initrd has it. Asked again while a device is missing:
# a controller's driver brings new devices with new aliases.
load_drivers() {
    read -r events </sys/kernel/uevent_seqnum
    [ "$events" != "$LOADED_AT" ] || return 0
    LOADED_AT=$events
    find /sys/devices -name modalias 2>/dev/null | xargs -r cat 2>/dev/null | sort -u >/run/aliases
    if cmp -s /run/aliases /run/aliases.done; then return 0; fi
    xargs -r modprobe -a -b -q </run/aliases 2>/dev/null
    if [ ! -d /sys/module/sr_mod ]; then modprobe -a -b -q sd_mod sr_mod mmc_block usb_storage 2>/dev/null; fi
    mv /run/aliases /run/aliases.done
}

# wait_for SECONDS CONDITION...: true as soon as CONDITION is; looks again whenever the kernel has
# had time for another device.
wait_for() {
    left=$(($1 * 5)); shift
    while :; do
        load_drivers
        if "$@"; then return 0; fi
        [ $left -gt 0 ] || return 1
        left=$((left - 1))
        usleep 200000
    done
}

# settle: true when for a second nothing new has appeared in the machine; at most 30 s
settle() {
    quiet=0 rounds=0
    while [ $quiet -lt 5 ] && [ $rounds -lt 150 ]; do
        read -r before </sys/kernel/uevent_seqnum
        usleep 200000
        read -r now </sys/kernel/uevent_seqnum
        if [ "$now" = "$before" ]; then quiet=$((quiet + 1)); else quiet=0; load_drivers; fi
        rounds=$((rounds + 1))
    done
}

# Every block device but loops and RAM disks: disks first, each followed by its partitions.
block_devices() {
    for d in /sys/block/*; do
        name=${d##*/}
        case "$name" in loop*|ram*|zram*|nbd*|fd*|md*|dm-*) continue ;; esac
        [ "$(cat "$d/size" 2>/dev/null || echo 0)" != 0 ] || continue
        for p in "$d/$name"*; do [ -e "$p/partition" ] && echo "${p##*/}"; done
        echo "$name"
    done
}

# What there is, for somebody in front of the machine.
show_devices() {
    say "Disks and partitions seen:"
    seen=
    for name in $(block_devices); do
        seen=1
        part=$(sed -n 's/^PARTNAME=//p' "/sys/class/block/$name/uevent" 2>/dev/null)
        model=$(cat "/sys/class/block/$name/device/model" 2>/dev/null)
        echo "  /dev/$name  $(($(cat "/sys/class/block/$name/size") / 2048)) MiB  $part $model"
    done
    [ -n "$seen" ] || say "  none. Is the controller in RAID mode, or its driver missing?"
    for log in /run/looked; do [ -s $log ] && cat $log; done
}

# The end of the road: on trial the machine goes back to the good slot by itself.
give_up() {
    say "$1"
    show_devices
    if [ "$WHY" = try ]; then
        say "This was a trial: the machine restarts now and tries again or returns to the last good system."
        sync
        reboot -f
    fi
    say "A shell follows; reboot -f restarts the machine."
    rescue_shell
}

rescue_shell() {
    while :; do setsid cttyhack sh; done
}

# json_value KEY FILE: the string or number of a key that stands once in a flat JSON document.
json_value() {
    tr -d '\n' <"$2" | sed -n 's/.*"'"$1"'" *: *"\{0,1\}\([^",}]*\).*/\1/p'
}
