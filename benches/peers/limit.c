/* The limit: about the least that a prober can cost on this kernel.
 *
 *   limit tcp|http|https|icmp RATE PORT TARGETS_FILE RECORDS_FILE
 *
 * One thread, one epoll, a fresh connection per probe, paced evenly by a timerfd, targets in turn,
 * until SIGTERM. It keeps no schedule, no histogram and no series: what hotspare costs above it
 * is what those cost. Latencies are CLOCK_MONOTONIC; ICMP takes the kernel's receive stamp, which
 * only exists as CLOCK_REALTIME, so there both ends are. */
#include "paced.h"
#include <openssl/ssl.h>

#define TIMEOUT_NS (900 * 1000000LL) /* as every contender is configured */
#define BATCH 64                     /* events or packets taken per system call */
#define SEQUENCES 65536              /* ICMP sequence numbers */
#define REPLY_CAP 1024               /* bytes of an HTTP reply; ours has some 150 */
#define TIMER UINT64_MAX             /* epoll keys that are no probe */
#define ICMP_KEY (UINT64_MAX - 1)
#define RECEIVE_BUFFER (8 << 20)
#define HOST "bench.test"

enum kind { TCP, HTTP, HTTPS, ICMP };
enum step { FREE, CONNECTING, HANDSHAKING, READING };

struct probe {
    uint64_t seq;
    int64_t start_ns;
    SSL *ssl;
    int fd;
    uint32_t target;
    uint32_t len;
    enum step step;
    char reply[REPLY_CAP];
};

static const char request[] = "GET / HTTP/1.1\r\nHost: " HOST "\r\nConnection: close\r\n\r\n";
static enum kind kind;
static struct in_addr *targets;
static uint32_t target_count;
static uint16_t port;
static struct probe *probes;
static uint64_t slots, head, tail; /* probes tail..head-1 may be in flight */
static int epoll, icmp_socket;
static SSL_CTX *tls;

static struct probe *slot(uint64_t seq) { return &probes[seq % slots]; }

static void finish(struct probe *p, int ok) {
    record(p->target, ok, now_ns(CLOCK_MONOTONIC) - p->start_ns, 0);
    if (p->ssl) SSL_free(p->ssl);
    p->ssl = NULL;
    close(p->fd);
    p->step = FREE;
}

/* Whether the reply holds all its head and body; -1 when it is not what we wait for. */
static int complete(const struct probe *p) {
    const char *end = memmem(p->reply, p->len, "\r\n\r\n", 4);
    if (!end) return p->len == REPLY_CAP ? -1 : 0;
    const char *length = memmem(p->reply, p->len, "Content-Length: ", 16);
    if (memcmp(p->reply, "HTTP/1.1 200 ", 13) || !length || length > end) return -1;
    return p->len >= (uint32_t)(end + 4 - p->reply) + strtoul(length + 16, NULL, 10);
}

static void read_reply(struct probe *p) {
    for (;;) {
        size_t room = REPLY_CAP - p->len;
        ssize_t n;
        if (kind == HTTPS) {
            n = SSL_read(p->ssl, p->reply + p->len, (int)room);
            if (n <= 0 && SSL_get_error(p->ssl, (int)n) == SSL_ERROR_WANT_READ) return;
        } else {
            n = recv(p->fd, p->reply + p->len, room, 0);
            if (n < 0 && errno == EAGAIN) return;
        }
        if (n <= 0) return finish(p, 0);
        p->len += (uint32_t)n;
        int done = complete(p);
        if (done) return finish(p, done > 0);
    }
}

static void ask(struct probe *p) {
    ssize_t n = kind == HTTPS ? SSL_write(p->ssl, request, sizeof request - 1)
                              : send(p->fd, request, sizeof request - 1, 0);
    if (n != sizeof request - 1) return finish(p, 0);
    p->step = READING;
    read_reply(p);
}

static void handshake(struct probe *p) {
    int n = SSL_connect(p->ssl);
    if (n == 1) return ask(p);
    if (SSL_get_error(p->ssl, n) != SSL_ERROR_WANT_READ) finish(p, 0);
}

static void connected(struct probe *p) {
    if (kind == TCP) return finish(p, 1);
    if (kind == HTTP) return ask(p);
    p->ssl = SSL_new(tls);
    if (!p->ssl || !SSL_set_fd(p->ssl, p->fd) || !SSL_set1_host(p->ssl, HOST) ||
        !SSL_set_tlsext_host_name(p->ssl, HOST))
        return finish(p, 0);
    p->step = HANDSHAKING;
    handshake(p);
}

static void on_event(uint64_t seq, uint32_t events) {
    struct probe *p = slot(seq);
    if (p->step == FREE || p->seq != seq) return;
    if (events & EPOLLERR) return finish(p, 0);
    if (p->step == CONNECTING && events & EPOLLOUT) return connected(p);
    if (p->step == HANDSHAKING) return handshake(p);
    if (p->step == READING) return read_reply(p);
}

static void start(uint64_t seq) {
    struct probe *p = slot(seq);
    if (p->step != FREE) finish(p, 0);
    p->seq = seq;
    p->target = (uint32_t)(seq % target_count);
    p->len = 0;
    p->start_ns = now_ns(CLOCK_MONOTONIC);
    p->fd = dial(epoll, targets[p->target], port, seq);
    p->step = CONNECTING;
    if (p->fd < 0) finish(p, 0);
}

static void expire(void) {
    int64_t before = now_ns(CLOCK_MONOTONIC) - TIMEOUT_NS;
    for (; tail < head; tail++) {
        struct probe *p = slot(tail);
        if (p->step == FREE || p->seq != tail) continue;
        if (p->start_ns > before) return;
        finish(p, 0);
    }
}

/* ---- ICMP: one raw socket, a sequence number names the probe ---- */

static int64_t *sent; /* by sequence number; 0 when not in flight */
static uint32_t *sent_to;

static uint16_t checksum(const void *data, size_t len) {
    uint32_t sum = 0;
    for (const uint16_t *w = data; len > 1; len -= 2) sum += *w++;
    sum = (sum >> 16) + (sum & 0xffff);
    return (uint16_t)~(sum + (sum >> 16));
}

static void ping(uint64_t n) {
    char packet[64] = {0}; /* 56 bytes of payload, as ping and fping send */
    struct icmphdr *h = (void *)packet;
    uint16_t seq = (uint16_t)n;
    uint32_t target = (uint32_t)(n % target_count);
    h->type = ICMP_ECHO;
    h->un.echo.id = htons((uint16_t)getpid());
    h->un.echo.sequence = htons(seq);
    h->checksum = checksum(packet, sizeof packet);
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr = targets[target]};
    if (sent[seq]) record(sent_to[seq], 0, 0, 0); /* never answered */
    sent_to[seq] = target;
    sent[seq] = now_ns(CLOCK_REALTIME);
    if (sendto(icmp_socket, packet, sizeof packet, 0, (void *)&to, sizeof to) < 0) die("sendto");
}

static void on_reply(const char *packet, size_t len, struct msghdr *m) {
    size_t ip = (size_t)(packet[0] & 15) * 4;
    const struct icmphdr *h = (const void *)(packet + ip);
    if (len < ip + sizeof *h || h->un.echo.id != htons((uint16_t)getpid())) return;
    uint16_t seq = ntohs(h->un.echo.sequence);
    for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c && sent[seq]; c = CMSG_NXTHDR(m, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_TIMESTAMPNS) continue;
        struct timespec t;
        memcpy(&t, CMSG_DATA(c), sizeof t);
        record(sent_to[seq], 1, t.tv_sec * NS_PER_S + t.tv_nsec - sent[seq], 0);
        sent[seq] = 0;
    }
}

static void drain_icmp(void) {
    static char packets[BATCH][128], controls[BATCH][64];
    struct iovec iov[BATCH];
    struct mmsghdr m[BATCH];
    int n;
    do {
        for (int i = 0; i < BATCH; i++) {
            iov[i] = (struct iovec){packets[i], sizeof packets[i]};
            m[i].msg_hdr = (struct msghdr){.msg_iov = &iov[i], .msg_iovlen = 1,
                .msg_control = controls[i], .msg_controllen = sizeof controls[i]};
        }
        n = recvmmsg(icmp_socket, m, BATCH, MSG_DONTWAIT, NULL);
        for (int i = 0; i < n; i++) on_reply(packets[i], m[i].msg_len, &m[i].msg_hdr);
    } while (n == BATCH);
}

static void open_icmp(void) {
    int on = 1, buffer = RECEIVE_BUFFER;
    struct icmp_filter { uint32_t data; } only_replies = {~(1U << ICMP_ECHOREPLY)};
    struct epoll_event ev = {.events = EPOLLIN, .data.u64 = ICMP_KEY};
    icmp_socket = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMP);
    if (icmp_socket < 0) die("ICMP needs root or CAP_NET_RAW");
    setsockopt(icmp_socket, SOL_SOCKET, SO_RCVBUFFORCE, &buffer, sizeof buffer);
    if (setsockopt(icmp_socket, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on) ||
        setsockopt(icmp_socket, SOL_RAW, 1 /* ICMP_FILTER */, &only_replies, sizeof only_replies) ||
        epoll_ctl(epoll, EPOLL_CTL_ADD, icmp_socket, &ev))
        die("ICMP socket");
    sent = calloc(SEQUENCES, sizeof *sent);
    sent_to = calloc(SEQUENCES, sizeof *sent_to);
    if (!sent || !sent_to) die("memory");
}

/* ---- */

static void open_tls(void) {
    tls = SSL_CTX_new(TLS_client_method());
    if (!tls || !SSL_CTX_set_default_verify_paths(tls)) die("TLS"); /* honours SSL_CERT_FILE */
    SSL_CTX_set_verify(tls, SSL_VERIFY_PEER, NULL);
}

static void run(int timer) {
    struct epoll_event events[BATCH];
    while (!stopping) {
        int n = epoll_wait(epoll, events, BATCH, -1);
        for (int i = 0; i < n; i++) {
            uint64_t key = events[i].data.u64;
            if (key == ICMP_KEY) drain_icmp();
            else if (key != TIMER) on_event(key, events[i].events);
            else {
                for (uint64_t k = due(timer); k; k--) kind == ICMP ? ping(head++) : start(head++);
                if (kind != ICMP) expire();
            }
        }
    }
}

static enum kind kind_of(const char *name) {
    static const char *names[] = {"tcp", "http", "https", "icmp"};
    for (int i = 0; i < 4; i++)
        if (!strcmp(name, names[i])) return (enum kind)i;
    errno = EINVAL;
    die(name);
}

int main(int argc, char **argv) {
    if (argc != 6) {
        fprintf(stderr, "usage: limit tcp|http|https|icmp RATE PORT TARGETS_FILE RECORDS_FILE\n");
        return 2;
    }
    kind = kind_of(argv[1]);
    long rate = strtol(argv[2], NULL, 10);
    port = (uint16_t)strtol(argv[3], NULL, 10);
    if (rate < 1) die("RATE");
    targets = read_targets(argv[4], &target_count);
    start_records(argv[5]);
    epoll = epoll_create1(EPOLL_CLOEXEC);
    slots = (uint64_t)rate + BATCH; /* a second's worth outlasts the timeout */
    if (kind == ICMP) open_icmp();
    else if (!(probes = calloc(slots, sizeof *probes))) die("memory");
    if (kind == HTTPS) open_tls();
    int timer = pace_timer(rate);
    struct epoll_event ev = {.events = EPOLLIN, .data.u64 = TIMER};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, timer, &ev)) die("epoll");
    run(timer);
    return fclose(records) ? 1 : 0;
}
