# A slot of an installed Engine: which disk, which partition, why; then its root and its stores.

# partition DISK PARTNAME: the device name of that partition on that disk only
partition() {
    for p in "/sys/block/$1/$1"*; do
        [ -r "$p/uevent" ] || continue
        while read -r line; do
            if [ "$line" = "PARTNAME=$2" ]; then echo "${p##*/}"; return 0; fi
        done <"$p/uevent"
    done
    return 1
}

engine_disks() {
    for d in /sys/block/*; do
        name=${d##*/}
        case "$name" in loop*|ram*|sr*) continue ;; esac
        esp=$(partition "$name" engine-esp) || continue
        if [ ! -s "$WORK/place-$name" ]; then grubenv_offset "/dev/$esp" >"$WORK/place-$name" || continue; fi
        echo "$name"
    done
}

# The 1024 bytes of a disk's grubenv as $WORK/env-DISK
fetch_env() {
    [ -e "$WORK/env-$1" ] && return
    esp=/dev/$(partition "$1" engine-esp)
    read -r place <"$WORK/place-$1" || return 1
    dd if="$esp" bs=512 skip=$((place / 512)) count=1 2>/dev/null | tr -d '\0' >"$WORK/env-$1"
}

env_value() { sed -n "s/^$2=//p" "$WORK/env-$1" | head -n 1; }

# GUID signature of the hard drive node in BootCurrent's device path (UEFI 2.10, 3.1.3 and 10.3.5.1), as hex
boot_partition_guid() {
    [ -d /sys/firmware/efi ] || return 1
    modprobe -q efivarfs
    vars=/sys/firmware/efi/efivars
    mount -t efivarfs efivarfs $vars 2>/dev/null
    global=8be4df61-93ca-11d2-aa0d-00e098032b8c
    current=$(dd if=$vars/BootCurrent-$global bs=1 skip=4 count=2 2>/dev/null | hexdump -v -e '1/2 "%04X"')
    # type 4 subtype 1 length 42, partition number, start, size, then the GUID, format 2, signature type 2
    [ -n "$current" ] && hexdump -v -e '1/1 "%02x"' "$vars/Boot$current-$global" 2>/dev/null |
        sed -n 's/.*04012a00.\{40\}\(.\{32\}\)0202.*/\1/p'
    umount $vars 2>/dev/null
}

# partition_guid DISK NUMBER: the unique GUID in the GPT's primary array, as hex
partition_guid() {
    sector=$(cat "/sys/block/$1/queue/logical_block_size")
    array=$(number "/dev/$1" $((sector + 72)) 8)
    size=$(number "/dev/$1" $((sector + 84)) 4)
    dd if="/dev/$1" bs=1 skip=$((array * sector + ($2 - 1) * size + 16)) count=16 2>/dev/null |
        hexdump -v -e '1/1 "%02x"'
}

disk_fits() {
    esp=$(partition "$1" engine-esp)
    if [ -n "$ESP_ID" ]; then [ "$(fat_serial "/dev/$esp")" = "$ESP_ID" ]; return; fi
    [ -z "$BOOT_GUID" ] || [ "$(partition_guid "$1" "$(cat "/sys/class/block/$esp/partition")")" = "$BOOT_GUID" ]
}

fitting_disks() {
    FITTING=
    for disk in $(engine_disks); do
        if disk_fits "$disk"; then FITTING="$FITTING $disk"; fi
    done
    [ -n "$FITTING" ]
}

# FORMATS: among the Engines that fit, the one with booting; none: the only one; several: ask.
find_engine() {
    BOOT_GUID=$(boot_partition_guid)
    if ! wait_for 60 fitting_disks; then
        [ -z "$ESP_ID" ] || say "The loader came from the boot partition with serial $ESP_ID; no disk has it."
        [ -n "$BOOT_GUID" ] || return 1
        # the firmware's entry names a partition that is gone (a clone, a new table): do without it
        BOOT_GUID=
        fitting_disks || return 1
    fi
    if [ -z "$ESP_ID$BOOT_GUID" ]; then
        # nothing says which disk it was, and a second Engine may still be on its way
        settle
        fitting_disks
    fi
    BOOTING= COUNT=0
    for disk in $FITTING; do
        fetch_env "$disk"
        COUNT=$((COUNT + 1))
        if [ "$(env_value "$disk" booting)" = "$SLOT" ]; then BOOTING="$BOOTING $disk"; fi
    done
    set -- $BOOTING
    if [ $# = 1 ]; then DISK=$1
    elif [ $COUNT = 1 ]; then DISK=${FITTING# }
    else ask_engine $FITTING
    fi
    fetch_env "$DISK"
    ESP=$(partition "$DISK" engine-esp)
    number=$(env_value "$DISK" "engine_$SLOT")
    number=${number#gpt}
    case "$DISK" in *[0-9]) SLOT_DEVICE=/dev/${DISK}p$number ;; *) SLOT_DEVICE=/dev/$DISK$number ;; esac
    decide_why
    [ -b "$SLOT_DEVICE" ]
}

ask_engine() {
    say "Several Engines are in this machine, and the firmware does not say which one it started:"
    n=0
    for disk in "$@"; do
        n=$((n + 1))
        echo "  $n  /dev/$disk  $(cat "/sys/block/$disk/device/model" 2>/dev/null)  $(($(cat "/sys/block/$disk/size") / 2097152)) GiB"
    done
    while :; do
        printf 'Number of the Engine to start: '
        read -r answer || answer=
        case "$answer" in [1-9]) ;; *) continue ;; esac
        [ "$answer" -le $# ] || continue
        shift $((answer - 1))
        DISK=$1
        return
    done
}

# BIOS passes why; by UEFI it follows from grubenv.
decide_why() {
    good=$(env_value "$DISK" good) try=$(env_value "$DISK" try)
    if [ -z "$WHY" ]; then
        if [ -n "$try" ] && [ "$SLOT" = "$try" ]; then WHY=try
        elif [ "$SLOT" != "$good" ]; then WHY=unreadable
        elif [ -n "$try" ]; then WHY=fallback
        else WHY=good
        fi
    fi
    FELL_BACK_FROM=
    case "$WHY" in
        fallback) FELL_BACK_FROM=$try ;;
        unreadable) if [ "$SLOT" = "$good" ]; then FELL_BACK_FROM=$try; else FELL_BACK_FROM=$good; fi ;;
        try) set_panic ;;
    esac
}

# A trial that panics, or nearly, restarts by itself.
set_panic() {
    echo 10 >/proc/sys/kernel/panic
    echo 1 >/proc/sys/kernel/panic_on_oops
}

# One 512-byte sector, in place, verified before and after.
clear_booting() {
    [ -n "$(env_value "$DISK" booting)" ] || return 0
    read -r place <"$WORK/place-$DISK" || return 0
    dd if="/dev/$ESP" bs=512 skip=$((place / 512)) count=1 of=$WORK/sector 2>/dev/null
    [ "$(head -n 1 $WORK/sector)" = "# GRUB Environment Block" ] || return 0
    # the same length again: the freed bytes become the filling at the end
    sed '/^booting=/s/=.*/=/' $WORK/sector >$WORK/sector.new
    missing=$((512 - $(wc -c <$WORK/sector.new)))
    [ $missing -ge 0 ] || return 0
    head -c $missing /dev/zero | tr '\0' '#' >>$WORK/sector.new
    [ "$(wc -c <$WORK/sector.new)" = 512 ] || return 0
    dd if=$WORK/sector.new of="/dev/$ESP" bs=512 seek=$((place / 512)) count=1 conv=notrunc oflag=direct 2>/dev/null ||
        dd if=$WORK/sector.new of="/dev/$ESP" bs=512 seek=$((place / 512)) count=1 conv=notrunc,fsync 2>/dev/null ||
        echo "The boot partition cannot be written." >>/run/engine/problems
    sync
}

mount_slot_root() {
    modprobe -q squashfs; modprobe -q overlay
    mkdir -p /run/engine/system /run/engine/overlay
    mount -t squashfs -o ro "$SLOT_DEVICE" /run/engine/system || return 1
    mount -t tmpfs -o mode=0755 tmpfs /run/engine/overlay || return 1
    mkdir -p /run/engine/overlay/upper /run/engine/overlay/work
    mount -t overlay -o lowerdir=/run/engine/system,upperdir=/run/engine/overlay/upper,workdir=/run/engine/overlay/work overlay /root
}

# State and VM store. A failure is no end: the system comes up, calls itself degraded and says why.
mount_stores() {
    modprobe -q ext4
    mkdir -p /root/engine/state /root/engine/vms
    for store in state vms; do
        if ! part=$(partition "$DISK" engine-$store); then
            echo "There is no partition engine-$store on /dev/$DISK." >>/run/engine/problems
        elif ! mount -t ext4 -o noatime,errors=remount-ro "/dev/$part" /root/engine/$store; then
            echo "The partition engine-$store (/dev/$part) cannot be mounted." >>/run/engine/problems
        fi
    done
    id=/root/engine/state/slots/$SLOT/machine-id
    if [ -s "$id" ]; then cat "$id" >/root/etc/machine-id; fi
}

# The ten-minute guard of a trial, from the first moment of systemd on
guard_trial() {
    [ "$WHY" = try ] || return 0
    wants=/run/systemd/system/sysinit.target.wants
    mkdir -p $wants
    ln -s /usr/lib/systemd/system/engine-trial.service $wants/
}

write_slot_json() {
    install_id=
    modprobe -q vfat
    if mount -t vfat -o ro "/dev/$ESP" /mnt 2>/dev/null; then
        install_id=$(json_value install_id /mnt/engine/receipt.json 2>/dev/null)
        umount /mnt
    fi
    cat >/run/engine/boot.json <<END
{"schema": 1, "kind": "slot", "disk": "/dev/$DISK", "esp": "/dev/$ESP", "slot": "$SLOT", "slot_device": "$SLOT_DEVICE", "why": "$WHY", "fell_back_from": "$FELL_BACK_FROM", "mode": "$MODE", "install_id": "$install_id"}
END
}
