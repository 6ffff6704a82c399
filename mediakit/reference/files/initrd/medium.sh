# The Engine medium: found by version and build of its manifest, never by a label.

is_medium() {
    m=$1/engine/manifest.json
    [ -f "$m" ] && [ -f "$1/engine/system.squashfs" ] || return 1
    [ "$(json_value version "$m")-$(json_value build "$m")" = "$MEDIUM" ]
}

# try_mount SOURCE TYPE: mount on the medium's place and look; undone when it is not ours
try_mount() {
    mount -t "$2" -o ro "$1" /run/engine/medium 2>/dev/null || return 1
    if is_medium /run/engine/medium; then FILESYSTEM=$2; return 0; fi
    if [ -f /run/engine/medium/engine/manifest.json ]; then
        echo "  $1 holds another Engine medium: $(json_value version /run/engine/medium/engine/manifest.json)" >>/run/looked
    else
        echo "  $1 ($2) is no Engine medium" >>/run/looked
    fi
    umount /run/engine/medium
    return 1
}

# try_device NAME. A whole disk goes through a loop device, so that its partitions stay free for others.
try_device() {
    source=/dev/$1
    case "$1" in sr*) ;; *)
        if [ ! -e "/sys/class/block/$1/partition" ]; then
            source=$(losetup -f) && losetup -r "$source" "/dev/$1" || return 1
        fi ;;
    esac
    for type in iso9660 vfat; do
        if try_mount "$source" $type; then DEVICE=/dev/$1; return 0; fi
    done
    case "$source" in /dev/loop*) losetup -d "$source" ;; esac
    return 1
}

# try_findiso NAME: another loader (Ventoy's, a multi-boot stick's) started us from an ISO file
try_findiso() {
    mkdir -p /run/engine/host
    for type in vfat exfat ext4 iso9660 udf; do
        options=ro
        [ $type != ext4 ] || options=ro,noload
        mount -t $type -o $options "/dev/$1" /run/engine/host 2>/dev/null || continue
        if [ -f "/run/engine/host/$FINDISO" ]; then
            loop=$(losetup -f)
            losetup -r "$loop" "/run/engine/host/$FINDISO" && try_mount "$loop" iso9660 && { DEVICE=/dev/$1; return 0; }
            losetup -d "$loop" 2>/dev/null
        fi
        umount /run/engine/host
    done
    return 1
}

look_for_medium() {
    : >/run/looked
    for name in $(block_devices); do
        if try_device "$name"; then return 0; fi
    done
    [ -n "$FINDISO" ] || return 1
    for name in $(block_devices); do
        if try_findiso "$name"; then return 0; fi
    done
    return 1
}

find_medium() {
    for module in loop squashfs overlay isofs vfat nls_cp437 nls_iso8859-1 nls_ascii nls_utf8; do modprobe -q $module; done
    if [ -n "$FINDISO" ]; then for module in exfat ext4 udf; do modprobe -q $module; done; fi
    mkdir -p /run/engine/medium
    wait_for 90 look_for_medium
}

mount_medium_root() {
    layers=
    for layer in installer system; do
        image=/run/engine/medium/engine/$layer.squashfs
        if [ ! -f $image ]; then [ $layer = installer ] && continue; return 1; fi
        mkdir -p /run/engine/$layer
        loop=$(losetup -f)
        losetup -r "$loop" $image && mount -t squashfs -o ro "$loop" /run/engine/$layer || return 1
        layers=$layers:/run/engine/$layer
    done
    mkdir -p /run/engine/overlay
    mount -t tmpfs -o mode=0755 tmpfs /run/engine/overlay || return 1
    mkdir -p /run/engine/overlay/upper /run/engine/overlay/work
    mount -t overlay -o "lowerdir=${layers#:},upperdir=/run/engine/overlay/upper,workdir=/run/engine/overlay/work" overlay /root
}

write_medium_json() {
    name=${DEVICE#/dev/}
    disk=$DEVICE
    if [ -e "/sys/class/block/$name/partition" ]; then
        disk=$(readlink -f "/sys/class/block/$name"); disk=${disk%/*}; disk=/dev/${disk##*/}
    fi
    cat >/run/engine/boot.json <<END
{"schema": 1, "kind": "medium", "device": "$DEVICE", "disk": "$disk", "filesystem": "$FILESYSTEM", "path": "/run/engine/medium", "version": "${MEDIUM%-*}", "build": ${MEDIUM##*-}, "task": "$TASK", "mode": "$MODE"}
END
}
