/* Counts the packets and octets of a savefile with libpcap, and does nothing else. Its time is
 * what any program that reads with libpcap needs before it has looked at a packet.
 *
 *     cc -O2 -o bin/pcaploop scripts/pcaploop.c -lpcap && bin/pcaploop FILE
 */
#include <pcap/pcap.h>
#include <stdio.h>

struct count {
	unsigned long packets, octets;
};

static void add(u_char *user, const struct pcap_pkthdr *header, const u_char *data)
{
	struct count *count = (struct count *)user;

	(void)data;
	count->packets++;
	count->octets += header->caplen;
}

int main(int argc, char **argv)
{
	char message[PCAP_ERRBUF_SIZE];
	struct count count = {0, 0};
	pcap_t *file;

	if (argc != 2) {
		fprintf(stderr, "usage: pcaploop FILE\n");
		return 2;
	}
	file = pcap_open_offline(argv[1], message);
	if (!file) {
		fprintf(stderr, "pcaploop: %s\n", message);
		return 1;
	}
	if (pcap_loop(file, -1, add, (u_char *)&count)) {
		fprintf(stderr, "pcaploop: %s\n", pcap_geterr(file));
		return 1;
	}
	printf("%lu packets, %lu octets\n", count.packets, count.octets);
	return 0;
}
