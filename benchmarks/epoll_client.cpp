// The yardstick: a closed-loop client that does as little as a client can. One thread, epoll, recv, a scan for event ends.
//
//   epoll_client PORT CONCURRENCY REQUESTS < requests
//
// Standard input holds the encoded requests, each after its length and the tokens it asks for ("LENGTH TOKENS\n"). It writes
// one line per request: sent, first token, last token (ns, CLOCK_MONOTONIC), tokens; then "cpu NS".
#include <arpa/inet.h>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <vector>

static int64_t clock_ns(clockid_t id) {
    timespec t;
    clock_gettime(id, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

struct Request { std::string data; int tokens; };
struct Slot { int fd; int64_t sent, first, last; int tokens; char tail[5]; };
struct Done { int64_t sent, first, last; int tokens; };

static std::vector<Request> requests;
static std::vector<Done> done;
static size_t next_request = 0;

static bool begin(Slot& s) {
    if (next_request == requests.size()) return false;
    const Request& r = requests[next_request++];
    s.first = s.last = 0;
    s.tokens = r.tokens;
    memset(s.tail, 0, sizeof s.tail);
    s.sent = clock_ns(CLOCK_MONOTONIC);
    for (size_t at = 0; at < r.data.size();) {
        ssize_t n = send(s.fd, r.data.data() + at, r.data.size() - at, MSG_NOSIGNAL);
        if (n < 0) { perror("send"); _exit(1); }
        at += n;
    }
    return true;
}

int main(int argc, char** argv) {
    if (argc != 4) return 2;
    int concurrency = atoi(argv[2]), number = atoi(argv[3]);
    for (int i = 0; i < number; i++) {
        size_t length; int tokens;
        if (scanf("%zu %d", &length, &tokens) != 2) return 3;
        getchar();
        std::string data(length, 0);
        if (fread(&data[0], 1, length, stdin) != length) return 3;
        requests.push_back({data, tokens});
    }
    int poller = epoll_create1(0), one = 1;
    std::vector<Slot> slots(concurrency);
    sockaddr_in a{}; a.sin_family = AF_INET; a.sin_port = htons(atoi(argv[1])); a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    for (int i = 0; i < concurrency; i++) {
        slots[i].fd = socket(AF_INET, SOCK_STREAM, 0);
        if (connect(slots[i].fd, (sockaddr*)&a, sizeof a)) { perror("connect"); return 1; }
        setsockopt(slots[i].fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        epoll_event e{}; e.events = EPOLLIN; e.data.u32 = i;
        epoll_ctl(poller, EPOLL_CTL_ADD, slots[i].fd, &e);
    }
    done.reserve(number);
    int64_t cpu = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
    for (Slot& s : slots) begin(s);
    static char buffer[65536];
    std::vector<epoll_event> ready(4096);
    while (done.size() < requests.size()) {
        int n = epoll_wait(poller, ready.data(), ready.size(), -1);
        for (int i = 0; i < n; i++) {
            Slot& s = slots[ready[i].data.u32];
            ssize_t got = recv(s.fd, buffer, sizeof buffer, 0);
            if (got <= 0) { fprintf(stderr, "closed\n"); return 1; }
            int64_t now = clock_ns(CLOCK_MONOTONIC);
            // Event ends: the null server sends whole events, so none lies across two reads.
            int events = 0;
            for (char* at = buffer; (at = (char*)memmem(at, buffer + got - at, "\n\n", 2)); at += 2) events++;
            bool usage = memmem(buffer, got, "completion_tokens", 17);
            if (events && !s.first) s.first = now;
            if (events) s.last = now;
            (void)usage;
            if (got >= 5 && !memcmp(buffer + got - 5, "0\r\n\r\n", 5)) {
                done.push_back({s.sent, s.first, s.last, s.tokens});
                begin(s);
            }
        }
    }
    cpu = clock_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    for (const Done& d : done) printf("%ld %ld %ld %d\n", d.sent, d.first, d.last, d.tokens);
    printf("cpu %ld\n", cpu);
}
