/* Asks blackbox_exporter to probe, evenly paced, as an ideal Prometheus would.
 *
 *   driver MODULE SCHEME RATE BBE_PORT TARGET_PORT TARGETS_FILE RECORDS_FILE
 *
 * blackbox_exporter has no schedule of its own: it probes when it is asked. This asks over kept
 * connections and reads back what it reports of each probe. Its own CPU is reported apart. */
#include "paced.h"

#define BATCH 64
#define CONNECTIONS 4096   /* asked and unanswered at once; beyond it a probe is skipped */
#define REPLY_CAP 16384    /* an answer is some 4 KB */
#define TIMER UINT64_MAX

enum state { CLOSED, CONNECTING, IDLE, BUSY };
struct connection {
    int fd;
    enum state state;
    uint32_t target, len;
    int64_t start_ns;
    char *reply;
};

static struct connection pool[CONNECTIONS];
static int idle[CONNECTIONS], idle_count, opened, epoll;
static uint16_t bbe_port, target_port;
static const char *module, *scheme;
static struct in_addr *targets;
static uint64_t skipped;

static void finish(struct connection *c, int ok, double seconds, double phases) {
    record(c->target, ok, (int64_t)(seconds * 1e9), (int64_t)(phases * 1e9));
}

static void drop(struct connection *c) {
    if (c->state == BUSY || c->state == CONNECTING) finish(c, 0, 0, 0);
    close(c->fd);
    c->state = CLOSED;
}

static void ask(struct connection *c) {
    char request[256], address[INET_ADDRSTRLEN], port[8] = "";
    inet_ntop(AF_INET, &targets[c->target], address, sizeof address);
    if (target_port) snprintf(port, sizeof port, ":%u", target_port);
    int n = snprintf(request, sizeof request,
        "GET /probe?module=%s&target=%s%s%s HTTP/1.1\r\nHost: bbe\r\n\r\n",
        module, scheme, address, port);
    c->len = 0;
    c->state = BUSY;
    if (send(c->fd, request, (size_t)n, 0) != n) drop(c);
}

/* The sum of the samples whose line begins with `name`; -1 when there is none. */
static double sum_of(const char *text, const char *name) {
    double sum = -1;
    size_t len = strlen(name);
    for (const char *line = text; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, name, len)) continue;
        const char *space = strchr(line, ' ');
        if (space) sum = (sum < 0 ? 0 : sum) + strtod(space, NULL);
    }
    return sum;
}

/* Joins the chunks of a body in place, for a chunk may end within a line. */
static void join_chunks(char *text) {
    char *body = strstr(text, "\r\n\r\n") + 4, *to = body;
    if (!memmem(text, (size_t)(body - text), "chunked", 7)) return;
    for (size_t len; (len = strtoul(body, &body, 16)); body += len + 2) {
        memmove(to, body + 2, len);
        to += len;
        body += 2;
    }
    *to = 0;
}

static void answered(struct connection *c) {
    join_chunks(c->reply);
    double phases = sum_of(c->reply, "probe_icmp_duration_seconds{phase=\"rtt\"}");
    if (phases < 0) phases = sum_of(c->reply, "probe_http_duration_seconds{");
    finish(c, sum_of(c->reply, "probe_success") == 1, sum_of(c->reply, "probe_duration_seconds"),
           phases < 0 ? 0 : phases);
    c->state = IDLE;
    idle[idle_count++] = (int)(c - pool);
}

/* Go sends a known length or chunks that end in an empty one. */
static int complete(struct connection *c) {
    c->reply[c->len] = 0;
    char *end = strstr(c->reply, "\r\n\r\n");
    if (!end) return 0;
    char *length = strstr(c->reply, "Content-Length: ");
    if (length && length < end)
        return c->len >= (size_t)(end + 4 - c->reply) + strtoul(length + 16, NULL, 10);
    return c->len > 7 && !memcmp(c->reply + c->len - 7, "\r\n0\r\n\r\n", 7);
}

static void on_event(struct connection *c, uint32_t events) {
    if (c->state == CLOSED) return;
    if (c->state == CONNECTING && events & EPOLLOUT && !(events & EPOLLERR)) return ask(c);
    for (;;) {
        ssize_t n = recv(c->fd, c->reply + c->len, REPLY_CAP - 1 - c->len, 0);
        if (n < 0 && errno == EAGAIN) return;
        if (n <= 0) return drop(c); /* an idle one was closed: it is redialled when needed */
        c->len += (uint32_t)n;
        if (c->state == BUSY && complete(c)) return answered(c);
    }
}

static int free_slot(void) {
    for (int i = 0; i < opened; i++)
        if (pool[i].state == CLOSED) return i;
    return opened < CONNECTIONS ? opened++ : -1;
}

static void start(uint32_t target) {
    struct connection *c = NULL;
    while (idle_count && !c) {
        c = &pool[idle[--idle_count]];
        if (c->state != IDLE) c = NULL;
    }
    int i = c ? 0 : free_slot();
    if (i < 0) {
        skipped++;
        return;
    }
    if (!c) {
        c = &pool[i];
        if (!c->reply && !(c->reply = malloc(REPLY_CAP))) die("memory");
        struct in_addr loopback = {htonl(INADDR_LOOPBACK)};
        c->state = CONNECTING;
        c->target = target;
        c->fd = dial(epoll, loopback, bbe_port, (uint64_t)i);
        if (c->fd < 0) die("dial blackbox_exporter");
        return;
    }
    c->target = target;
    ask(c);
}

int main(int argc, char **argv) {
    if (argc != 8) {
        fprintf(stderr, "usage: driver MODULE SCHEME RATE BBE_PORT TARGET_PORT TARGETS RECORDS\n");
        return 2;
    }
    module = argv[1];
    scheme = argv[2];
    long rate = strtol(argv[3], NULL, 10);
    bbe_port = (uint16_t)strtol(argv[4], NULL, 10);
    target_port = (uint16_t)strtol(argv[5], NULL, 10);
    uint32_t count, next = 0;
    targets = read_targets(argv[6], &count);
    start_records(argv[7]);
    epoll = epoll_create1(EPOLL_CLOEXEC);
    int timer = pace_timer(rate);
    struct epoll_event events[BATCH], ev = {.events = EPOLLIN, .data.u64 = TIMER};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, timer, &ev)) die("epoll");
    while (!stopping) {
        int n = epoll_wait(epoll, events, BATCH, -1);
        for (int i = 0; i < n; i++) {
            if (events[i].data.u64 != TIMER)
                on_event(&pool[events[i].data.u64], events[i].events);
            else
                for (uint64_t k = due(timer); k; k--) start(next++ % count);
        }
    }
    if (skipped) fprintf(stderr, "skipped %llu\n", (unsigned long long)skipped);
    return fclose(records) ? 1 : 0;
}
