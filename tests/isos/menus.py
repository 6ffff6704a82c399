"""Menus as the media of distributions have them, each with the files that it names. Path → contents."""

from __future__ import annotations

# Each is shaped as that distribution's is, in words of our own.
DEBIAN_LIVE = {
    "boot/grub/grub.cfg": """\
source /boot/grub/config.cfg

# Live boot
menuentry "Live system (amd64)" --hotkey=l {
	linux	/live/vmlinuz boot=live components quiet splash findiso=${iso_path}
	initrd	/live/initrd.img
}
submenu 'Utilities...' --hotkey=u {
	source /boot/grub/theme.cfg
	if [ "${grub_platform}" = "efi" ]; then
	menuentry "UEFI Firmware Settings" {
		fwsetup
	}
	fi
}
""",
    "boot/grub/config.cfg": "set default=0\nif [ x$feature_default_font_path = xy ] ; then\n font=unicode\nfi\nset timeout=-1\n",
    "boot/grub/theme.cfg": "set color_normal=cyan/blue\n",
    "boot/grub/loopback.cfg": "source /boot/grub/grub.cfg\n",
    "isolinux/isolinux.cfg": "include menu.cfg\ndefault vesamenu.c32\nprompt 0\ntimeout 0\n",
    "isolinux/menu.cfg": "menu hshift 0\nmenu title Boot menu\ninclude live.cfg\nmenu begin utilities\n\tmenu label ^Utilities\n\tlabel hdt\n\t\tmenu label ^Hardware Detection Tool (HDT)\n\t\tcom32 hdt.c32\nmenu end\nmenu clear\n",
    "isolinux/live.cfg": 'label live-amd64\n\tmenu label ^Live system (amd64)\n\tmenu default\n\tlinux /live/vmlinuz\n\tinitrd /live/initrd.img\n\tappend boot=live components quiet splash findiso=${iso_path}\n\nlabel live-amd64-failsafe\n\tmenu label ^Live system (amd64 fail-safe mode)\n\tlinux /live/vmlinuz\n\tinitrd /live/initrd.img\n\tappend boot=live nomodeset vga=normal\n',
    "isolinux/vesamenu.c32": "", "isolinux/hdt.c32": "",
    "live/vmlinuz": "k", "live/initrd.img": "i",
}  # fmt: skip
DEBIAN_NETINST = {
    "boot/grub/grub.cfg": """\
if [ x$feature_default_font_path = xy ] ; then
   font=unicode
else
   font=$prefix/font.pf2
fi
insmod play
play 960 440 1 0 4 440 1
set theme=/boot/grub/theme/1
menuentry --hotkey=g 'Graphical install' {
    set background_color=black
    linux    /install.amd/vmlinuz vga=788 --- quiet
    initrd   /install.amd/gtk/initrd.gz
}
menuentry --hotkey=i 'Install' {
    set background_color=black
    linux    /install.amd/vmlinuz vga=788 --- quiet
    initrd   /install.amd/initrd.gz
}
submenu --hotkey=a 'Advanced options ...' {
    set menu_color_normal=cyan/blue
    menuentry '... Graphical expert install' {
        set background_color=black
        linux    /install.amd/vmlinuz priority=low vga=788 ---
        initrd   /install.amd/gtk/initrd.gz
    }
}
""",
    "isolinux/isolinux.cfg": "# D-I config version 2.0\n# search path for the c32 support libraries (libcom32, libutil etc.)\npath \ninclude menu.cfg\ndefault vesamenu.c32\nprompt 0\ntimeout 0\n",
    "isolinux/menu.cfg": "menu hshift 4\nmenu width 70\n\nmenu title Installer menu (BIOS mode)\ninclude stdmenu.cfg\ninclude gtk.cfg\ninclude txt.cfg\nmenu begin advanced\n    menu label ^Advanced options\n    menu title Advanced options\n    include stdmenu.cfg\n    label mainmenu\n        menu label ^Back..\n        menu exit\nmenu end\nlabel help\n\tmenu label ^Help\n\ttext help\n   Display help screens; label not an entry\n\tendtext\n\tconfig prompt.cfg\n",
    "isolinux/stdmenu.cfg": "menu background splash.png\nmenu color title\t* #FFFFFFFF *\nmenu vshift 8\nmenu rows 12\n",
    "isolinux/gtk.cfg": "label installgui\n\tmenu label ^Graphical install\n\tmenu default\n\tkernel /install.amd/vmlinuz\n\tappend vga=788 initrd=/install.amd/gtk/initrd.gz --- quiet \n",
    "isolinux/txt.cfg": "label install\n\tmenu label ^Install\n\tkernel /install.amd/vmlinuz\n\tappend vga=788 initrd=/install.amd/initrd.gz --- quiet \n",
    "isolinux/prompt.cfg": "prompt 1\ndisplay f1.txt\ntimeout 0\ninclude menu.cfg\n",
    "isolinux/vesamenu.c32": "",
    "install.amd/vmlinuz": "k", "install.amd/initrd.gz": "i", "install.amd/gtk/initrd.gz": "i",
}  # fmt: skip
UBUNTU = {
    "boot/grub/grub.cfg": 'set timeout=30\n\nloadfont unicode\n\nset menu_color_normal=white/black\n\nmenuentry "Try or Install" {\n\tset gfxpayload=keep\n\tlinux\t/casper/vmlinuz  --- quiet splash\n\tinitrd\t/casper/initrd\n}\nmenuentry "Safe graphics" {\n\tset gfxpayload=keep\n\tlinux\t/casper/vmlinuz nomodeset  --- quiet splash\n\tinitrd\t/casper/initrd\n}\ngrub_platform\nif [ "$grub_platform" = "efi" ]; then\nmenuentry \'Boot from next volume\' {\n\texit 1\n}\nmenuentry \'UEFI Firmware Settings\' {\n\tfwsetup\n}\nelse\nmenuentry \'Test memory\' {\n\tlinux16 /boot/memtest86+x64.bin\n}\nfi\n',
    "boot/grub/loopback.cfg": 'menuentry "Try or Install" {\n\tset gfxpayload=keep\n\tlinux\t/casper/vmlinuz  iso-scan/filename=${iso_path} --- quiet splash\n\tinitrd\t/casper/initrd\n}\n',
    "casper/vmlinuz": "k", "casper/initrd": "i", "boot/memtest86+x64.bin": "m",
}  # fmt: skip
FEDORA = {
    "EFI/BOOT/grub.cfg": """\
set default="1"

function load_video {
  insmod efi_gop
  insmod all_video
}

load_video
set gfxpayload=keep
insmod gzio
set timeout=60
search --no-floppy --set=root -l 'LIVE'

menuentry 'Install Server' --class fedora --class gnu-linux --class gnu --class os {
	linux /images/pxeboot/vmlinuz inst.stage2=hd:LABEL=LIVE quiet
	initrd /images/pxeboot/initrd.img
}
menuentry 'Test this media & install Server' --class fedora --class gnu-linux --class gnu --class os {
	linux /images/pxeboot/vmlinuz inst.stage2=hd:LABEL=LIVE rd.live.check quiet
	initrd /images/pxeboot/initrd.img
}
submenu 'Troubleshooting -->' {
	menuentry 'Install in basic graphics mode' --class fedora {
		linux /images/pxeboot/vmlinuz inst.stage2=hd:LABEL=LIVE nomodeset quiet
		initrd /images/pxeboot/initrd.img
	}
	menuentry 'Boot first drive' {
		chainloader (hd0)+1
	}
}
""",
    "isolinux/isolinux.cfg": "default vesamenu.c32\ntimeout 600\n\ndisplay boot.msg\n\nmenu clear\nmenu background splash.png\nmenu tabmsg Press Tab for full configuration options on menu items.\nmenu separator # insert an empty line\n\nlabel linux\n  menu label ^Install Server\n  kernel vmlinuz\n  append initrd=initrd.img inst.stage2=hd:LABEL=LIVE quiet\n\nlabel check\n  menu label Test this ^media & install Server\n  menu default\n  kernel vmlinuz\n  append initrd=initrd.img inst.stage2=hd:LABEL=LIVE rd.live.check quiet\n\nmenu separator # insert an empty line\n\nmenu begin ^Troubleshooting\n  menu title Troubleshooting\n\nlabel basic\n  menu indent count 5\n  menu label Install using ^basic graphics mode\n  text help\n\tTry this option out if you're having trouble.\n  endtext\n  kernel vmlinuz\n  append initrd=initrd.img inst.stage2=hd:LABEL=LIVE nomodeset quiet\n\nlabel local\n  menu label Boot from ^local drive\n  localboot 0xffff\n\nlabel returntomain\n  menu label Return to ^main menu\n  menu exit\n\nmenu end\n",
    "isolinux/vesamenu.c32": "", "isolinux/vmlinuz": "k", "isolinux/initrd.img": "i",
    "images/pxeboot/vmlinuz": "k", "images/pxeboot/initrd.img": "i",
}  # fmt: skip
ARCH = {
    "boot/syslinux/syslinux.cfg": "DEFAULT loadconfig\n\nLABEL loadconfig\n  CONFIG archiso.cfg\n  APPEND ../../\n",
    "boot/syslinux/archiso.cfg": "DEFAULT select\n\nLABEL select\nCOM32 whichsys.c32\nAPPEND -pxe- pxe -sys- sys -iso- sys\n\nLABEL sys\nCONFIG archiso_sys.cfg\n",
    "boot/syslinux/archiso_sys.cfg": "INCLUDE archiso_head.cfg\n\nDEFAULT arch64\nTIMEOUT 150\n\nINCLUDE archiso_sys-linux.cfg\n\nINCLUDE archiso_tail.cfg\n",
    "boot/syslinux/archiso_head.cfg": "SERIAL 0 115200\nUI vesamenu.c32\nMENU TITLE Arch\n",
    "boot/syslinux/archiso_sys-linux.cfg": "LABEL arch64\nTEXT HELP\nBoot the install medium on BIOS.\nENDTEXT\nMENU LABEL install medium (x86_64, BIOS)\nLINUX /arch/boot/x86_64/vmlinuz-linux\nINITRD /arch/boot/x86_64/initramfs-linux.img\nAPPEND archisobasedir=arch archisolabel=LIVE\n",
    "boot/syslinux/archiso_tail.cfg": "LABEL existing\nMENU LABEL Boot existing OS\nCOM32 chain.c32\nAPPEND hd0 0\n\nLABEL memtest\nMENU LABEL Run Memtest86+ (RAM test)\nLINUX /boot/memtest86+/memtest\n\nLABEL reboot\nMENU LABEL Reboot\nCOM32 reboot.c32\n",
    "loader/loader.conf": "timeout 15\ndefault 01-archiso-linux.conf\nbeep on\n",
    "loader/entries/01-archiso-linux.conf": "title    install medium (x86_64, UEFI)\nsort-key 01\nlinux    /arch/boot/x86_64/vmlinuz-linux\ninitrd   /arch/boot/x86_64/initramfs-linux.img\noptions  archisobasedir=arch archisolabel=LIVE\n",
    "loader/entries/03-memtest.conf": "title    Memtest86+\nsort-key 03\nefi      /boot/memtest86+/memtest.efi\n",
    "arch/boot/x86_64/vmlinuz-linux": "k", "arch/boot/x86_64/initramfs-linux.img": "i", "boot/memtest86+/memtest": "m",
    "boot/syslinux/vesamenu.c32": "", "boot/syslinux/whichsys.c32": "", "boot/syslinux/chain.c32": "", "boot/syslinux/reboot.c32": "",
}  # fmt: skip
OPENSUSE = {
    "boot/x86_64/loader/isolinux.cfg": "default harddisk\n",
    "isolinux/isolinux.cfg": "default harddisk\n\n# hard disk\nlabel harddisk\n  localboot -2\n\n# install\nlabel linux\n  kernel linux\n  append initrd=initrd splash=silent showopts\n\nui gfxboot bootlogo message\nimplicit 1\nprompt 1\ntimeout 600\n",
    "isolinux/linux": "k", "isolinux/initrd": "i", "isolinux/gfxboot.c32": "",
    "EFI/BOOT/grub.cfg": "with_theme=n\nset linux=linux\nset initrd=initrd\nif [ \"${grub_cpu}\" = \"i386\" ]; then\n  set linux=linux16\nfi\nif [ \"${grub_cpu}\" = x86_64 -a \"${grub_platform}\" = efi ]; then\n  set linux=linuxefi\n  set initrd=initrdefi\nfi\nset default=1\nset timeout=60\nmenuentry 'Boot from Hard Disk' --class harddisk {\n  if search --no-floppy --file /efi/boot/fallback.efi --set ; then\n    for os in opensuse sles ; do\n      if [ -f /efi/$os/grub.efi ] ; then\n        chainloader /efi/$os/grub.efi\n        boot\n      fi\n    done\n  fi\n  exit\n}\nmenuentry 'Installation' --class opensuse {\n  set gfxpayload=keep\n  echo 'Loading kernel ...'\n  linux /boot/x86_64/loader/linux splash=silent\n  echo 'Loading initial ramdisk ...'\n  initrd /boot/x86_64/loader/initrd\n}\n",
    "boot/x86_64/loader/linux": "k", "boot/x86_64/loader/initrd": "i",
}  # fmt: skip
XCP = {
    "boot/isolinux/isolinux.cfg": "DEFAULT menu.c32\nPROMPT 0\nTIMEOUT 50\r\n\r\nLABEL install\r\n  MENU LABEL install\r\n  MENU DEFAULT\r\n  KERNEL mboot.c32\r\n  APPEND /boot/xen.gz dom0_max_vcpus=1-16 com1=115200,8n1 --- /boot/vmlinuz xencons=hvc console=hvc0 console=tty0 --- /install.img\r\n\r\nLABEL memtest\r\n  KERNEL /boot/memtest.bin\r\n",
    "EFI/xenserver/grub.cfg": "set timeout=5\nmenuentry \"install\" {\n    multiboot2 /boot/xen.gz dom0_max_vcpus=1-16 com1=115200,8n1\n    module2 /boot/vmlinuz console=hvc0 console=tty0\n    module2 /install.img\n}\n",
    "boot/xen.gz": "x", "boot/vmlinuz": "k", "install.img": "i", "boot/memtest.bin": "m",
    "boot/isolinux/menu.c32": "", "boot/isolinux/mboot.c32": "",
}  # fmt: skip
PROXMOX = {
    "boot/grub/grub.cfg": "insmod gzio\nset timeout=10\nset timeout_style=menu\n\nif loadfont unicode; then\n    set gfxmode=640x480\nfi\n\nmenuentry 'Install (Graphical)' --class debian --class gnu-linux --class gnu --class os {\n    echo\t'Loading kernel ...'\n    linux\t/boot/linux26 ro ramdisk_size=16777216 rw quiet splash=silent\n    echo\t'Loading initial ramdisk ...'\n    initrd\t/boot/initrd.img\n}\n\nsubmenu 'Advanced Options' {\n    menuentry 'Install (Terminal UI, Serial Console)' {\n        linux\t/boot/linux26 ro ramdisk_size=16777216 rw quiet console=ttyS0,115200\n        initrd\t/boot/initrd.img\n    }\n}\n",
    "EFI/BOOT/grub.cfg": "search --no-floppy --file --set=root /.cd-info\nsource ($root)/boot/grub/grub.cfg\n",
    "boot/linux26": "k", "boot/initrd.img": "i", ".cd-info": "1",
}  # fmt: skip
SYSTEMRESCUE = {
    "boot/grub/grubsrcd.cfg": "set default=\"0\"\nset timeout=30\nmenuentry \"Boot with default options\" {\n    set gfxpayload=keep\n    linux /sysresccd/boot/x86_64/vmlinuz archisobasedir=sysresccd archisolabel=LIVE iomem=relaxed\n    initrd /sysresccd/boot/intel_ucode.img /sysresccd/boot/x86_64/sysresccd.img\n}\n",
    "boot/grub/grub.cfg": "source /boot/grub/grubsrcd.cfg\n",
    "isolinux/isolinux.cfg": "include sysresccd_head.cfg\n\nLABEL sys64\nTEXT HELP\nBoot the live system with the default options.\nENDTEXT\nMENU LABEL Boot with ^default options\nLINUX /sysresccd/boot/x86_64/vmlinuz\nINITRD /sysresccd/boot/intel_ucode.img,/sysresccd/boot/x86_64/sysresccd.img\nAPPEND archisobasedir=sysresccd archisolabel=LIVE iomem=relaxed\nIPAPPEND 3\n",
    "isolinux/sysresccd_head.cfg": "UI vesamenu.c32\nTIMEOUT 900\nDEFAULT sys64\n",
    "isolinux/vesamenu.c32": "", "sysresccd/boot/x86_64/vmlinuz": "k", "sysresccd/boot/x86_64/sysresccd.img": "i", "sysresccd/boot/intel_ucode.img": "u",
}  # fmt: skip
CLONEZILLA = {
    "boot/grub/grub.cfg": "set pref=/boot/grub\nset default=\"0\"\nif loadfont $pref/unicode.pf2; then\n  set gfxmode=auto\nfi\nset hidden_timeout_quiet=false\n\nmenuentry \"Live (VGA 800x600)\" --id live-default {\n  search --set -f /live/vmlinuz\n  $linux_cmd /live/vmlinuz boot=live union=overlay username=user config components quiet\n  $initrd_cmd /live/initrd.img\n}\nmenuentry \"Live (To RAM)\" --id live-toram {\n  search --set -f /live/vmlinuz\n  linux /live/vmlinuz boot=live union=overlay toram=live\n  initrd /live/initrd.img\n}\n",
    "syslinux/syslinux.cfg": "default vesamenu.c32\ntimeout 300\nprompt 0\nnoescape 1\nMENU MARGIN 5\n\n# comment\nlabel live default\n  MENU DEFAULT\n  # MENU HIDE\n  MENU LABEL Live (VGA 800x600)\n  # MENU PASSWD\n  kernel /live/vmlinuz\n  append initrd=/live/initrd.img boot=live union=overlay username=user config components quiet\n  TEXT HELP\n  * Boot from CD or USB\n  ENDTEXT\n\nMENU BEGIN other modes\nlabel toram\n  MENU LABEL Live (^To RAM)\n  kernel /live/vmlinuz\n  append initrd=/live/initrd.img toram=live\nMENU END\n",
    "syslinux/vesamenu.c32": "", "live/vmlinuz": "k", "live/initrd.img": "i",
}  # fmt: skip
GRUB_MEMTEST = {
    "boot/grub/grub.cfg": "set timeout=3\nmenuentry 'Memtest86+' { linux16 /boot/memtest.bin }\n",
    "boot/memtest.bin": "m",
}  # fmt: skip
SHAPES = {
    "debian_live": DEBIAN_LIVE, "debian_netinst": DEBIAN_NETINST, "ubuntu": UBUNTU, "fedora": FEDORA, "arch": ARCH,
    "opensuse": OPENSUSE, "xcp": XCP, "proxmox": PROXMOX, "systemrescue": SYSTEMRESCUE, "clonezilla": CLONEZILLA,
}  # fmt: skip
INSIDE = {
    "EFI/BOOT/grub.cfg": "menuentry Live { linux /k quiet }\nmenuentry 'Other' { linux /k }\n",
    "k": "k",
    **{k: v for k, v in ARCH.items() if k.startswith("loader")},
    "arch/boot/x86_64/vmlinuz-linux": "k",
    "arch/boot/x86_64/initramfs-linux.img": "i",
}
