// A server that does nothing but stream: one token per stream and interval, one send per token, OpenAI's chunks.
//
//   null_server PORT INTERVAL_US FIRST_US
//
// It honours max_tokens, counts the ids of "prompt", answers GET with 200, and writes what its own clock saw: GET /truth
// returns, as JSON, each generation's first byte read, first and last token sent (ns, CLOCK_MONOTONIC) and its tokens, and
// forgets them; GET /tokens returns the number of tokens sent so far. INTERVAL_US 0 streams as fast as the socket takes it, several chunks per packet.
#include <arpa/inet.h>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <queue>
#include <string>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <unordered_map>
#include <vector>

static int64_t now_ns() {
    timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

struct Truth { int64_t asked, first, last; int tokens; };

struct Stream {
    std::string in, out;
    int64_t asked = 0, first = 0, due = 0;
    int left = 0, total = 0, prompt = 0;
    bool chat = false;
    uint64_t id = 0;
};

static std::string chunk(const std::string& event) {
    char size[16];
    snprintf(size, sizeof size, "%zx\r\n", event.size());
    return size + event + "\r\n";
}

static std::string completion_event(const char* choices, const std::string& usage) {
    return std::string("data: {\"id\":\"cmpl-3b2f0c1d5e6f4a7b8c9d0e1f2a3b4c5d\",\"object\":\"text_completion\",\"created\":1767225600,"
                       "\"model\":\"null\",\"choices\":") + choices + usage + "}\n\n";
}

static const std::string TEXT_TOKEN =
    chunk(completion_event("[{\"index\":0,\"text\":\" tok\",\"logprobs\":null,\"finish_reason\":null}]", ""));
static const std::string CHAT_TOKEN =
    chunk(completion_event("[{\"index\":0,\"delta\":{\"content\":\" tok\"},\"logprobs\":null,\"finish_reason\":null}]", ""));
static const std::string CHAT_ROLE =
    chunk(completion_event("[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"},\"finish_reason\":null}]", ""));
static const std::string HEAD =
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nTransfer-Encoding: chunked\r\n\r\n";

static std::string ending(const Stream& s) {
    std::string usage = ",\"usage\":{\"prompt_tokens\":" + std::to_string(s.prompt) + ",\"completion_tokens\":" +
                        std::to_string(s.total) + ",\"total_tokens\":" + std::to_string(s.prompt + s.total) + "}";
    return chunk(completion_event("[{\"index\":0,\"text\":\"\",\"delta\":{},\"finish_reason\":\"length\"}]", "")) +
           chunk(completion_event("[]", usage)) + chunk("data: [DONE]\n\n") + "0\r\n\r\n";
}

static int poller;
static std::unordered_map<int, Stream> streams;
static std::vector<Truth> truths;
static int64_t interval_ns, first_ns;
static uint64_t serial = 0, tokens_sent = 0;

struct Due {
    int64_t at; int fd; uint64_t id;
    bool operator<(const Due& o) const { return at > o.at; }
};
static std::priority_queue<Due> dues;

static void drop(int fd) { streams.erase(fd); close(fd); }

// Send what fits; what does not waits for EPOLLOUT.
static bool flush(int fd, Stream& s) {
    while (!s.out.empty()) {
        ssize_t n = send(fd, s.out.data(), s.out.size(), MSG_NOSIGNAL);
        if (n < 0) {
            if (errno != EAGAIN) { drop(fd); return false; }
            epoll_event e{}; e.events = EPOLLIN | EPOLLOUT; e.data.fd = fd;
            epoll_ctl(poller, EPOLL_CTL_MOD, fd, &e);
            return true;
        }
        s.out.erase(0, n);
    }
    return true;
}

static void emit(int fd, Stream& s, int number) {
    const std::string& token = s.chat ? CHAT_TOKEN : TEXT_TOKEN;
    int64_t now = now_ns();
    if (!s.first) s.first = now;
    for (int i = 0; i < number && s.left > 0; i++, s.left--, tokens_sent++) s.out += token;
    if (s.left == 0) {
        s.out += ending(s);
        truths.push_back({s.asked, s.first, now, s.total});
        s.id = 0;
    }
    if (!flush(fd, s)) return;
    if (s.id && interval_ns) { s.due += interval_ns; dues.push({s.due, fd, s.id}); }
}

static void pump(int fd, Stream& s) {  // full speed: keep the socket full
    while (s.id && s.out.empty()) {
        emit(fd, s, 64);
        if (!streams.count(fd)) return;
    }
}

static int number_after(const std::string& text, const char* key, int otherwise) {
    size_t at = text.find(key);
    return at == std::string::npos ? otherwise : atoi(text.c_str() + at + strlen(key) + (text[at + strlen(key)] == ' '));
}

static void answer(int fd, Stream& s, const std::string& body, const char* type) {
    s.out += std::string("HTTP/1.1 200 OK\r\nContent-Type: ") + type + "\r\nContent-Length: " + std::to_string(body.size()) +
             "\r\n\r\n" + body;
    flush(fd, s);
}

static void truth(int fd, Stream& s) {
    std::string body = "[";
    for (const Truth& t : truths)
        body += (body.size() > 1 ? ",[" : "[") + std::to_string(t.asked) + "," + std::to_string(t.first) + "," +
                std::to_string(t.last) + "," + std::to_string(t.tokens) + "]";
    truths.clear();
    answer(fd, s, body + "]", "application/json");
}

// Handle one whole request if it is there.
static void request(int fd, Stream& s) {
    size_t end = s.in.find("\r\n\r\n");
    if (end == std::string::npos) return;
    if (s.in.compare(0, 4, "GET ") == 0) {
        bool wants_truth = s.in.compare(4, 6, "/truth") == 0, wants_tokens = s.in.compare(4, 7, "/tokens") == 0;
        s.in.clear();
        if (wants_truth) truth(fd, s);
        else if (wants_tokens) answer(fd, s, std::to_string(tokens_sent), "text/plain");
        else answer(fd, s, "{\"object\":\"list\",\"data\":[{\"id\":\"null\",\"object\":\"model\"}]}", "application/json");
        return;
    }
    std::string head = s.in.substr(0, end);
    for (char& c : head) c = tolower(c);
    size_t length = number_after(head, "content-length:", 0);
    if (s.in.size() < end + 4 + length) return;
    std::string body = s.in.substr(end + 4, length);
    s.in.clear();
    s.chat = head.find("/chat/") != std::string::npos;
    s.total = s.left = number_after(body, "\"max_tokens\":", number_after(body, "\"max_completion_tokens\":", 16));
    size_t open = body.find("\"prompt\":"), close_at = body.find(']', open == std::string::npos ? 0 : open);
    s.prompt = 1;
    if (open != std::string::npos && close_at != std::string::npos)
        for (size_t i = open; i < close_at; i++) s.prompt += body[i] == ',';
    s.first = 0;
    s.id = ++serial;
    s.out += HEAD;
    if (s.chat) s.out += CHAT_ROLE;
    if (!flush(fd, s)) return;
    if (!interval_ns) { pump(fd, s); return; }
    // Streams spread over the interval, as requests of different ages do.
    s.due = now_ns() + first_ns + (serial * 2654435761u) % interval_ns;
    dues.push({s.due, fd, s.id});
}

int main(int argc, char** argv) {
    if (argc != 4) return 2;
    interval_ns = atoll(argv[2]) * 1000;
    first_ns = atoll(argv[3]) * 1000;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), one = 1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    sockaddr_in a{}; a.sin_family = AF_INET; a.sin_port = htons(atoi(argv[1])); a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (bind(listener, (sockaddr*)&a, sizeof a) || listen(listener, 4096)) { perror("bind"); return 1; }
    socklen_t size = sizeof a;
    getsockname(listener, (sockaddr*)&a, &size);
    printf("%d\n", ntohs(a.sin_port)); fflush(stdout);
    poller = epoll_create1(0);
    epoll_event e{}; e.events = EPOLLIN; e.data.fd = listener;
    epoll_ctl(poller, EPOLL_CTL_ADD, listener, &e);
    std::vector<epoll_event> ready(4096);
    static char buffer[1 << 18];
    for (;;) {
        // Whole milliseconds would bunch tokens, so the server spins while any is due; it has a core of its own.
        int n = epoll_wait(poller, ready.data(), ready.size(), dues.empty() ? 100 : 0);
        for (int i = 0; i < n; i++) {
            int fd = ready[i].data.fd;
            if (fd == listener) {
                int c;
                while ((c = accept4(listener, nullptr, nullptr, SOCK_NONBLOCK)) >= 0) {
                    setsockopt(c, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
                    epoll_event x{}; x.events = EPOLLIN; x.data.fd = c;
                    epoll_ctl(poller, EPOLL_CTL_ADD, c, &x);
                    streams[c];
                }
                continue;
            }
            auto found = streams.find(fd);
            if (found == streams.end()) continue;
            if (ready[i].events & EPOLLOUT) {
                epoll_event x{}; x.events = EPOLLIN; x.data.fd = fd;
                epoll_ctl(poller, EPOLL_CTL_MOD, fd, &x);
                if (!flush(fd, found->second)) continue;
                if (!interval_ns) pump(fd, found->second);
                if (!streams.count(fd)) continue;
            }
            if (!(ready[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR))) continue;
            ssize_t got = recv(fd, buffer, sizeof buffer, 0);
            if (got == 0 || (got < 0 && errno != EAGAIN)) { drop(fd); continue; }
            if (got < 0) continue;
            if (found->second.in.empty()) found->second.asked = now_ns();
            found->second.in.append(buffer, got);
            request(fd, found->second);
        }
        for (int64_t now = now_ns(); !dues.empty() && dues.top().at <= now;) {
            Due due = dues.top();
            dues.pop();
            auto found = streams.find(due.fd);
            if (found != streams.end() && found->second.id == due.id) emit(due.fd, found->second, 1);
        }
    }
}
