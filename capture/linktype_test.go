package capture

import (
	"strconv"
	"strings"
	"testing"

	"github.com/google/gopacket/pcap"
)

func TestLinkTypeString(t *testing.T) {
	for link, want := range map[LinkType]string{
		LinkEthernet:  "ETHERNET",
		LinkLinuxSLL2: "LINUX_SLL2",
		LinkRadiotap:  "IEEE802_11_RADIOTAP",
		4711:          "LINKTYPE_4711",
		65535:         "LINKTYPE_65535",
	} {
		if got := link.String(); got != want {
			t.Errorf("%d is %s, not %s", uint16(link), got, want)
		}
	}
	seen := make(map[string]LinkType)
	for i := range 1 << 16 {
		link := LinkType(i)
		if other, twice := seen[link.String()]; twice {
			t.Errorf("%d and %d are both %s", link, other, link)
		}
		seen[link.String()] = link
	}
}

// Where a number means the same to libpcap, our name is libpcap's or, for some, the
// one that the list of link types has instead.
func TestLinkTypeNamesAreLibpcaps(t *testing.T) {
	renamed := map[string]string{
		"EN10MB": "ETHERNET", "EN3MB": "EXP_ETHERNET", "IEEE802": "IEEE802_5", "ARCNET": "ARCNET_BSD",
		"PPP_SERIAL": "PPP_HDLC", "PRISM_HEADER": "IEEE802_11_PRISM", "AIRONET_HEADER": "IEEE802_11_AIRONET",
		"IEEE802_11_RADIO": "IEEE802_11_RADIOTAP", "IEEE802_15_4": "IEEE802_15_4_WITHFCS", "IEEE802_11_RADIO_AVS": "IEEE802_11_AVS",
	}
	same := func(ours, theirs string) bool {
		return ours == theirs || ours == renamed[theirs] || strings.ReplaceAll(ours, "_", "") == strings.ReplaceAll(theirs, "_", "")
	}
	checked := 0
	for number := range 290 {
		theirs := pcap.DatalinkValToName(number)
		ours := LinkType(number).String()
		if theirs == "" || number > 10 && number < 50 || strings.HasSuffix(ours, strconv.Itoa(number)) {
			continue
		}
		checked++
		if !same(ours, theirs) {
			t.Errorf("%d is %s, libpcap says %s", number, ours, theirs)
		}
	}
	if checked < 100 {
		t.Errorf("only %d names could be compared", checked)
	}
}
