# A FAT32 read by hand (Microsoft FAT specification 1.03, sections 3 and 6): just enough to find where one
# file's first sector lies. Mounting for writing would touch more than that sector.

: "${WORK:=/run}"

# number FILE OFFSET SIZE: a little-endian number
number() {
    value=0 shift_by=0
    for byte in $(dd if="$1" bs=1 skip="$2" count="$3" 2>/dev/null | hexdump -v -e '1/1 "%u "'); do
        value=$((value + (byte << shift_by))) shift_by=$((shift_by + 8))
    done
    echo $value
}

# bpb DEVICE: sets FAT_SECTOR FAT_CLUSTER FAT_START FAT_DATA FAT_ROOT (bytes, but FAT_ROOT)
bpb() {
    set -- "$1" $(dd if="$1" bs=512 count=1 2>/dev/null | hexdump -v -e '1/1 "%u "')
    [ $# -ge 513 ] || return 1
    device=$1; shift
    # after the shift byte n of the sector is argument n + 1
    shift 11
    FAT_SECTOR=$(($1 + $2 * 256)); sectors=$3; reserved=$(($4 + $5 * 256)); fats=$6
    shift 25
    size=$(($1 + $2 * 256 + $3 * 65536 + $4 * 16777216))
    FAT_ROOT=$(($9 + ${10} * 256 + ${11} * 65536))
    [ "$FAT_SECTOR" -ge 512 ] && [ "$sectors" -gt 0 ] && [ "$size" -gt 0 ] || return 1
    FAT_CLUSTER=$((FAT_SECTOR * sectors))
    FAT_START=$((FAT_SECTOR * reserved))
    FAT_DATA=$((FAT_START + fats * size * FAT_SECTOR))
}

# serial of the FAT as GRUB's probe prints it: XXXX-XXXX
fat_serial() {
    set -- $(dd if="$1" bs=1 skip=67 count=4 2>/dev/null | hexdump -v -e '1/1 "%02X "')
    echo "$4$3-$2$1"
}

# fat_find DEVICE CLUSTER NAME: the first cluster of the entry with the 11 characters NAME
fat_find() {
    cluster=$2
    while [ "$cluster" -ge 2 ] && [ "$cluster" -lt 268435448 ]; do
        place=$((FAT_DATA + (cluster - 2) * FAT_CLUSTER))
        dd if="$1" bs=512 skip=$((place / 512)) count=$((FAT_CLUSTER / 512)) of=$WORK/cluster 2>/dev/null
        found=$(hexdump -v -e '11/1 "%c" 1/1 " %u" 8/1 " %u" 2/1 " %u" 4/1 " %u" 2/1 " %u" 4/1 " %u" "\n"' $WORK/cluster |
            LC_ALL=C sed -n "/^$3 /{p;q;}")
        if [ -n "$found" ]; then
            set -- ${found#"$3"}
            # 1 attribute, 2-9 times, 10-11 high word, 12-15 write time, 16-17 low word
            echo $((${16} + ${17} * 256 + ${10} * 65536 + ${11} * 16777216))
            return 0
        fi
        cluster=$(($(number "$1" $((FAT_START + cluster * 4)) 4) & 268435455))
    done
    return 1
}

# grubenv_offset DEVICE: where /engine/grubenv begins, in bytes from the start of the ESP
grubenv_offset() {
    bpb "$1" || return 1
    folder=$(fat_find "$1" "$FAT_ROOT" "ENGINE     ") || return 1
    file=$(fat_find "$1" "$folder" "GRUBENV    ") || return 1
    echo $((FAT_DATA + (file - 2) * FAT_CLUSTER))
}
