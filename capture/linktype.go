package capture

import "strconv"

// LinkType says which header a frame begins with: a LINKTYPE_ number of
// https://www.tcpdump.org/linktypes.html, all 16 bits of it.
type LinkType uint16

// The link types that the code of this package refers to. String names the
// others too.
const (
	LinkNull            LinkType = 0 // BSD loopback: 4-octet address family in the writer's byte order
	LinkEthernet        LinkType = 1
	LinkIEEE8025        LinkType = 6 // Token Ring
	LinkARCNETBSD       LinkType = 7
	LinkPPP             LinkType = 9 // with or without HDLC framing
	LinkFDDI            LinkType = 10
	LinkATMRFC1483DLT   LinkType = 11  // LLC-encapsulated ATM: its DLT, written to files by mistake
	LinkRaw12           LinkType = 12  // raw IP: DLT_RAW of most systems, written to files by mistake
	LinkRaw14           LinkType = 14  // raw IP: DLT_RAW of OpenBSD, written to files by mistake
	LinkPPPHDLC         LinkType = 50  // PPP in HDLC-like framing
	LinkPPPEther        LinkType = 51  // PPPoE session header first
	LinkATMRFC1483      LinkType = 100 // LLC-encapsulated ATM
	LinkRaw             LinkType = 101 // IPv4 or IPv6, by the version nibble
	LinkPPPBSDOS        LinkType = 103
	LinkCHDLC           LinkType = 104 // Cisco HDLC
	LinkIEEE80211       LinkType = 105
	LinkATMCLIP         LinkType = 106
	LinkFRelay          LinkType = 107 // Frame Relay
	LinkLoop            LinkType = 108 // OpenBSD loopback: address family in network byte order
	LinkENC             LinkType = 109 // OpenBSD IPsec
	LinkLinuxSLL        LinkType = 113 // Linux cooked, version 1
	LinkPFLog           LinkType = 117
	LinkPrism           LinkType = 119 // 802.11 with Prism header
	LinkIPOverFC        LinkType = 122
	LinkSunATM          LinkType = 123
	LinkRadiotap        LinkType = 127 // 802.11 with radiotap header
	LinkARCNETLinux     LinkType = 129
	LinkJuniperGGSN     LinkType = 133
	LinkJuniperATM2     LinkType = 135
	LinkJuniperATM1     LinkType = 137
	LinkAppleIPOver1394 LinkType = 138
	LinkMTP2            LinkType = 140 // SS7
	LinkDOCSIS          LinkType = 143
	LinkAVS             LinkType = 163 // 802.11 with AVS header
	LinkPPPPPPD         LinkType = 166 // PPP with a direction octet in the address field
	LinkJuniperPPPoE    LinkType = 167
	LinkJuniperEther    LinkType = 178
	LinkJuniperPPP      LinkType = 179
	LinkJuniperFRelay   LinkType = 180
	LinkJuniperCHDLC    LinkType = 181
	LinkJuniperVoice    LinkType = 183
	LinkPPI             LinkType = 192 // per-packet information, then another link type
	LinkERF             LinkType = 197
	LinkPPPWithDir      LinkType = 204 // PPP with a direction octet before it
	LinkCHDLCWithDir    LinkType = 205
	LinkFRelayWithDir   LinkType = 206
	LinkMPLS            LinkType = 219
	LinkIPNET           LinkType = 226 // Solaris ipnet
	LinkIPv4            LinkType = 228
	LinkIPv6            LinkType = 229
	LinkNFLog           LinkType = 239 // Linux netlink log: TLVs
	LinkNetAnalyzer     LinkType = 240
	LinkIPoIB           LinkType = 242
	LinkNetLink         LinkType = 253
	LinkPKTAP           LinkType = 258 // Apple, names another link type
	LinkVSock           LinkType = 271 // Linux vsock
	LinkLinuxSLL2       LinkType = 276 // Linux cooked, version 2
)

// String returns the LINKTYPE_ name without that prefix, "ETHERNET" for
// instance, or "LINKTYPE_4711" where the list has none. Names are distinct.
func (l LinkType) String() string {
	if name := linkNames[l]; name != "" {
		return name
	}
	return "LINKTYPE_" + strconv.Itoa(int(l))
}

// linkNames is the list of https://www.tcpdump.org/linktypes.html, and the two
// numbers for raw IP and one for ATM that occur in files but in no list.
var linkNames = map[LinkType]string{
	0:   "NULL",
	1:   "ETHERNET",
	2:   "EXP_ETHERNET",
	3:   "AX25",
	4:   "PRONET",
	5:   "CHAOS",
	6:   "IEEE802_5",
	7:   "ARCNET_BSD",
	8:   "SLIP",
	9:   "PPP",
	10:  "FDDI",
	11:  "ATM_RFC1483_11",
	12:  "RAW_12",
	14:  "RAW_14",
	50:  "PPP_HDLC",
	51:  "PPP_ETHER",
	99:  "SYMANTEC_FIREWALL",
	100: "ATM_RFC1483",
	101: "RAW",
	102: "SLIP_BSDOS",
	103: "PPP_BSDOS",
	104: "C_HDLC",
	105: "IEEE802_11",
	106: "ATM_CLIP",
	107: "FRELAY",
	108: "LOOP",
	109: "ENC",
	110: "LANE8023",
	111: "HIPPI",
	112: "NETBSD_HDLC",
	113: "LINUX_SLL",
	114: "LTALK",
	115: "ECONET",
	116: "IPFILTER",
	117: "PFLOG",
	118: "CISCO_IOS",
	119: "IEEE802_11_PRISM",
	120: "IEEE802_11_AIRONET",
	121: "HHDLC",
	122: "IP_OVER_FC",
	123: "SUNATM",
	124: "RIO",
	125: "PCI_EXP",
	126: "AURORA",
	127: "IEEE802_11_RADIOTAP",
	128: "TZSP",
	129: "ARCNET_LINUX",
	130: "JUNIPER_MLPPP",
	131: "JUNIPER_MLFR",
	132: "JUNIPER_ES",
	133: "JUNIPER_GGSN",
	134: "JUNIPER_MFR",
	135: "JUNIPER_ATM2",
	136: "JUNIPER_SERVICES",
	137: "JUNIPER_ATM1",
	138: "APPLE_IP_OVER_IEEE1394",
	139: "MTP2_WITH_PHDR",
	140: "MTP2",
	141: "MTP3",
	142: "SCCP",
	143: "DOCSIS",
	144: "LINUX_IRDA",
	145: "IBM_SP",
	146: "IBM_SN",
	147: "USER0",
	148: "USER1",
	149: "USER2",
	150: "USER3",
	151: "USER4",
	152: "USER5",
	153: "USER6",
	154: "USER7",
	155: "USER8",
	156: "USER9",
	157: "USER10",
	158: "USER11",
	159: "USER12",
	160: "USER13",
	161: "USER14",
	162: "USER15",
	163: "IEEE802_11_AVS",
	164: "JUNIPER_MONITOR",
	165: "BACNET_MS_TP",
	166: "PPP_PPPD",
	167: "JUNIPER_PPPOE",
	168: "JUNIPER_PPPOE_ATM",
	169: "GPRS_LLC",
	170: "GPF_T",
	171: "GPF_F",
	172: "GCOM_T1E1",
	173: "GCOM_SERIAL",
	174: "JUNIPER_PIC_PEER",
	175: "ERF_ETH",
	176: "ERF_POS",
	177: "LINUX_LAPD",
	178: "JUNIPER_ETHER",
	179: "JUNIPER_PPP",
	180: "JUNIPER_FRELAY",
	181: "JUNIPER_CHDLC",
	182: "MFR",
	183: "JUNIPER_VP",
	184: "A429",
	185: "A653_ICM",
	186: "USB_FREEBSD",
	187: "BLUETOOTH_HCI_H4",
	188: "IEEE802_16_MAC_CPS",
	189: "USB_LINUX",
	190: "CAN20B",
	191: "IEEE802_15_4_LINUX",
	192: "PPI",
	193: "IEEE802_16_MAC_CPS_RADIO",
	194: "JUNIPER_ISM",
	195: "IEEE802_15_4_WITHFCS",
	196: "SITA",
	197: "ERF",
	198: "RAIF1",
	199: "IPMB_KONTRON",
	200: "JUNIPER_ST",
	201: "BLUETOOTH_HCI_H4_WITH_PHDR",
	202: "AX25_KISS",
	203: "LAPD",
	204: "PPP_WITH_DIR",
	205: "C_HDLC_WITH_DIR",
	206: "FRELAY_WITH_DIR",
	207: "LAPB_WITH_DIR",
	209: "IPMB_LINUX",
	210: "FLEXRAY",
	211: "MOST",
	212: "LIN",
	213: "X2E_SERIAL",
	214: "X2E_XORAYA",
	215: "IEEE802_15_4_NONASK_PHY",
	216: "LINUX_EVDEV",
	217: "GSMTAP_UM",
	218: "GSMTAP_ABIS",
	219: "MPLS",
	220: "USB_LINUX_MMAPPED",
	221: "DECT",
	222: "AOS",
	223: "WIHART",
	224: "FC_2",
	225: "FC_2_WITH_FRAME_DELIMS",
	226: "IPNET",
	227: "CAN_SOCKETCAN",
	228: "IPV4",
	229: "IPV6",
	230: "IEEE802_15_4_NOFCS",
	231: "DBUS",
	232: "JUNIPER_VS",
	233: "JUNIPER_SRX_E2E",
	234: "JUNIPER_FIBRECHANNEL",
	235: "DVB_CI",
	236: "MUX27010",
	237: "STANAG_5066_D_PDU",
	238: "JUNIPER_ATM_CEMIC",
	239: "NFLOG",
	240: "NETANALYZER",
	241: "NETANALYZER_TRANSPARENT",
	242: "IPOIB",
	243: "MPEG_2_TS",
	244: "NG40",
	245: "NFC_LLCP",
	246: "PFSYNC",
	247: "INFINIBAND",
	248: "SCTP",
	249: "USBPCAP",
	250: "RTAC_SERIAL",
	251: "BLUETOOTH_LE_LL",
	252: "WIRESHARK_UPPER_PDU",
	253: "NETLINK",
	254: "BLUETOOTH_LINUX_MONITOR",
	255: "BLUETOOTH_BREDR_BB",
	256: "BLUETOOTH_LE_LL_WITH_PHDR",
	257: "PROFIBUS_DL",
	258: "PKTAP",
	259: "EPON",
	260: "IPMI_HPM_2",
	261: "ZWAVE_R1_R2",
	262: "ZWAVE_R3",
	263: "WATTSTOPPER_DLM",
	264: "ISO_14443",
	265: "RDS",
	266: "USB_DARWIN",
	267: "OPENFLOW",
	268: "SDLC",
	269: "TI_LLN_SNIFFER",
	270: "LORATAP",
	271: "VSOCK",
	272: "NORDIC_BLE",
	273: "DOCSIS31_XRA31",
	274: "ETHERNET_MPACKET",
	275: "DISPLAYPORT_AUX",
	276: "LINUX_SLL2",
	277: "SERCOS_MONITOR",
	278: "OPENVIZSLA",
	279: "EBHSCR",
	280: "VPP_DISPATCH",
	281: "DSA_TAG_BRCM",
	282: "DSA_TAG_BRCM_PREPEND",
	283: "IEEE802_15_4_TAP",
	284: "DSA_TAG_DSA",
	285: "DSA_TAG_EDSA",
	286: "ELEE",
	287: "ZWAVE_SERIAL",
	288: "USB_2_0",
	289: "ATSC_ALP",
	290: "ETW",
	291: "NETANALYZER_NG",
	292: "ZBOSS_NCP",
	293: "USB_2_0_LOW_SPEED",
	294: "USB_2_0_FULL_SPEED",
	295: "USB_2_0_HIGH_SPEED",
	296: "AUERSWALD_LOG",
	297: "ZWAVE_TAP",
	298: "SILABS_DEBUG_CHANNEL",
	299: "FIRA_UCI",
	300: "MDB",
	301: "DECT_NR",
}
