/* An endpoint that is never what a benchmark waits for: one thread, epoll, keep-alive.
 *
 * usage: endpoint LATENCY_MS
 *
 * Prints its port. Reads every request whole, throws its body away and answers a POST with a chat
 * completion LATENCY_MS later, a GET of /requests with how many it has answered, any other GET with
 * an empty list of models. Ends when its standard input does.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { HEAD = 16384, CONNECTIONS = 65536, EVENTS = 512, SINK = 1 << 18 };

typedef struct {
    uint32_t generation; /* tells a later connection of the same number apart */
    uint32_t filled;
    int64_t body;        /* bytes still to come; -1 while the head is read */
    char post, stats;
    char head[HEAD];
} Connection;

typedef struct {
    uint64_t due_ns;
    int fd;
    uint32_t generation;
} Due;

static Connection *connections[CONNECTIONS];
static Due *queue; /* a ring: all answers take equally long, so they fall due in order */
static uint64_t queue_first, queue_last, answered;
static uint64_t latency_ns;
static char sink[SINK];

static const char CHAT[] =
    "{\"id\":\"chatcmpl-%012llu\",\"object\":\"chat.completion\",\"created\":1700000000,"
    "\"model\":\"bench\",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":"
    "\"A quiet street at dusk, with wet cobblestones, two parked bicycles and a lamp that has just "
    "come on above a green door.\"},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":812,"
    "\"completion_tokens\":27,\"total_tokens\":839}}";

static uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000ull + (uint64_t)t.tv_nsec;
}

static void hang_up(int fd) {
    Connection *c = connections[fd];
    c->generation++;
    close(fd);
}

static int send_all(int fd, const char *data, size_t length) {
    while (length) {
        ssize_t n = send(fd, data, length, MSG_NOSIGNAL);
        if (n < 0 && (errno == EAGAIN || errno == EINTR)) continue; /* some hundred bytes at most */
        if (n <= 0) return -1;
        data += n;
        length -= (size_t)n;
    }
    return 0;
}

static void reply(int fd) {
    Connection *c = connections[fd];
    char body[1024], message[1280];
    int length;
    if (c->post)
        length = snprintf(body, sizeof body, CHAT, (unsigned long long)++answered);
    else if (c->stats)
        length = snprintf(body, sizeof body, "%llu", (unsigned long long)answered);
    else
        length = snprintf(body, sizeof body, "{\"object\":\"list\",\"data\":[]}");
    int whole = snprintf(message, sizeof message,
                         "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                         "Content-Length: %d\r\n\r\n%s", length, body);
    if (send_all(fd, message, (size_t)whole)) hang_up(fd);
}

static void answer(int fd) {
    Connection *c = connections[fd];
    if (!latency_ns || !c->post) {
        reply(fd);
        return;
    }
    Due *due = &queue[queue_last++ % CONNECTIONS];
    *due = (Due){now_ns() + latency_ns, fd, c->generation};
}

static int64_t content_length(const char *head) {
    for (const char *line = strstr(head, "\r\n"); line; line = strstr(line + 2, "\r\n"))
        if (!strncasecmp(line + 2, "content-length:", 15)) return atoll(line + 17);
    return 0;
}

/* Take `n` bytes that stand at `data`; a body is only counted. */
static void take(int fd, const char *data, ssize_t n) {
    Connection *c = connections[fd];
    uint32_t generation = c->generation;
    while (n > 0 && c->generation == generation) {
        if (c->body > 0) {
            int64_t part = n < c->body ? n : c->body;
            c->body -= part;
            data += part;
            n -= part;
        } else {
            uint32_t before = c->filled;
            size_t room = HEAD - 1 - before;
            size_t part = (size_t)n < room ? (size_t)n : room;
            memcpy(c->head + before, data, part);
            c->filled += (uint32_t)part;
            c->head[c->filled] = 0;
            char *end = strstr(c->head + (before > 3 ? before - 3 : 0), "\r\n\r\n");
            if (!end) {
                if (part < (size_t)n) hang_up(fd); /* a head that never ends */
                return;
            }
            size_t used = (size_t)(end + 4 - c->head) - before;
            end[2] = 0;
            c->post = !strncmp(c->head, "POST", 4);
            c->stats = !strncmp(c->head, "GET /requests", 13);
            c->body = content_length(c->head);
            c->filled = 0;
            data += used;
            n -= (ssize_t)used;
        }
        if (c->body == 0) {
            c->body = -1;
            answer(fd);
        }
    }
}

static void let_in(int listener, int poll) {
    int fd, yes = 1;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        if (fd >= CONNECTIONS) {
            close(fd);
            continue;
        }
        if (!connections[fd]) connections[fd] = calloc(1, sizeof(Connection));
        Connection *c = connections[fd];
        c->filled = 0;
        c->body = -1;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
        struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
        epoll_ctl(poll, EPOLL_CTL_ADD, fd, &event);
    }
}

static void read_from(int fd) {
    ssize_t n = recv(fd, sink, SINK, 0);
    if (n > 0)
        take(fd, sink, n);
    else if (n == 0 || (errno != EAGAIN && errno != EINTR))
        hang_up(fd);
}

static void send_what_is_due(void) {
    if (queue_first == queue_last) return;
    uint64_t now = now_ns();
    while (queue_first != queue_last && queue[queue_first % CONNECTIONS].due_ns <= now) {
        Due due = queue[queue_first++ % CONNECTIONS];
        if (connections[due.fd]->generation == due.generation) reply(due.fd);
    }
}

static int wait_ms(void) {
    if (queue_first == queue_last) return -1;
    uint64_t now = now_ns(), due = queue[queue_first % CONNECTIONS].due_ns;
    return due <= now ? 0 : (int)((due - now) / 1000000) + 1;
}

int main(int count, char **words) {
    latency_ns = count > 1 ? strtoull(words[1], NULL, 10) * 1000000ull : 0;
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    queue = calloc(CONNECTIONS, sizeof(Due));
    int yes = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    struct sockaddr_in where = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof where;
    if (bind(listener, (struct sockaddr *)&where, length) || listen(listener, 4096)) return 1;
    getsockname(listener, (struct sockaddr *)&where, &length);
    printf("%d\n", ntohs(where.sin_port));
    fflush(stdout);
    int poll = epoll_create1(0);
    struct epoll_event events[EVENTS], in = {.events = EPOLLIN, .data.fd = listener};
    epoll_ctl(poll, EPOLL_CTL_ADD, listener, &in);
    in.data.fd = STDIN_FILENO;
    epoll_ctl(poll, EPOLL_CTL_ADD, STDIN_FILENO, &in);
    for (;;) {
        int n = epoll_wait(poll, events, EVENTS, wait_ms());
        for (int i = 0; i < n; i++) {
            int fd = events[i].data.fd;
            if (fd == STDIN_FILENO) return 0;
            if (fd == listener)
                let_in(listener, poll);
            else
                read_from(fd);
        }
        send_what_is_due();
    }
}
