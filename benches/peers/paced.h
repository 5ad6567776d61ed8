/* What the limit prober and the blackbox_exporter driver share: an even pace, clocks, records. */
#ifndef PACED_H
#define PACED_H
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_S 1000000000LL

/* One finished probe, as bench.py reads it: native byte order, 32 bytes. */
struct record {
    uint32_t target;     /* line in the file of targets */
    uint32_t ok;         /* 1 when the probe succeeded */
    int64_t end_ns;      /* CLOCK_REALTIME when it ended: joins it to the capture */
    int64_t latency_ns;  /* what this prober reports */
    int64_t phases_ns;   /* the sum of the phases it reports, or 0 */
};

static FILE *records;
static volatile sig_atomic_t stopping;

__attribute__((noreturn)) static void die(const char *what) {
    perror(what);
    exit(1);
}

static int64_t now_ns(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return t.tv_sec * NS_PER_S + t.tv_nsec;
}

static void record(uint32_t target, int ok, int64_t latency_ns, int64_t phases_ns) {
    struct record r = {target, (uint32_t)ok, now_ns(CLOCK_REALTIME), latency_ns, phases_ns};
    if (fwrite(&r, sizeof r, 1, records) != 1) die("write a record");
}

static void on_term(int signal) {
    (void)signal;
    stopping = 1;
}

/* Reads one IPv4 address per line. */
static struct in_addr *read_targets(const char *path, uint32_t *count) {
    FILE *f = fopen(path, "r");
    if (!f) die(path);
    struct in_addr *list = NULL;
    char line[64];
    uint32_t n = 0;
    while (fgets(line, sizeof line, f)) {
        line[strcspn(line, "\n")] = 0;
        list = realloc(list, (n + 1) * sizeof *list);
        if (!list || inet_pton(AF_INET, line, &list[n]) != 1) die(line);
        n++;
    }
    fclose(f);
    if (!n) die("no targets");
    *count = n;
    return list;
}

/* A timer that expires `rate` times a second, evenly; reading it tells how many are due. */
static int pace_timer(long rate) {
    int fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    long period = (long)(NS_PER_S / rate);
    struct timespec step = {period / NS_PER_S, period % NS_PER_S};
    struct itimerspec spec = {step, step};
    if (fd < 0 || timerfd_settime(fd, 0, &spec, NULL)) die("timerfd");
    return fd;
}

static uint64_t due(int timer) {
    uint64_t n = 0;
    return read(timer, &n, sizeof n) == sizeof n ? n : 0;
}

static void start_records(const char *path) {
    static char buffer[1 << 16]; /* one write per 2,048 probes */
    records = fopen(path, "w");
    if (!records) die(path);
    setvbuf(records, buffer, _IOFBF, sizeof buffer);
    struct sigaction act = {.sa_handler = on_term};
    sigaction(SIGTERM, &act, NULL);
    sigaction(SIGINT, &act, NULL);
    signal(SIGPIPE, SIG_IGN);
}

/* A non-blocking connect to ADDRESS:PORT, watched by `epoll` under `key`; -1 when it cannot be. */
static int dial(int epoll, struct in_addr address, uint16_t port, uint64_t key) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = address};
    struct epoll_event ev = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.u64 = key};
    if (fd < 0) return -1;
    if ((connect(fd, (struct sockaddr *)&to, sizeof to) && errno != EINPROGRESS) ||
        epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &ev)) {
        close(fd);
        return -1;
    }
    return fd;
}
#endif
