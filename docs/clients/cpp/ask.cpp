// Asks a halfsecond server: ask ADDRESS (QUESTION.wav | "QUESTION")
//
// Writes the answer to answer.wav and its pictures to 000.jpg, 001.jpg ..., numbered by their time.
// docs/wire.md explains every message. On Debian and Ubuntu:
//
//   apt install g++ libzmq3-dev cppzmq-dev libmsgpack-cxx-dev      (Ubuntu 22.04: libmsgpack-dev)
//   g++ -std=c++17 -O1 -DMSGPACK_NO_BOOST ask.cpp -lzmq -o ask

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iostream>
#include <iterator>
#include <map>
#include <msgpack.hpp>
#include <optional>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <zmq.hpp>

using Header = std::map<std::string, msgpack::object>;

double now_s() {
  using namespace std::chrono;
  return duration<double>(steady_clock::now().time_since_epoch()).count();
}

// A recording of 16 bit: its rate, its channels, and its samples as they lie in the file.
struct Recording {
  uint32_t rate_hz = 16000;
  uint16_t channels = 1;
  std::string pcm;

  explicit Recording(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    std::string data{std::istreambuf_iterator<char>(file), {}};
    if (data.compare(0, 4, "RIFF") != 0) throw std::runtime_error(path + " is no WAV file");
    for (size_t at = 12; at + 8 <= data.size();) {  // a WAV file (little-endian) is a list of chunks
      uint32_t bytes = 0;
      std::memcpy(&bytes, &data[at + 4], 4);
      if (data.compare(at, 4, "fmt ") == 0) {
        std::memcpy(&channels, &data[at + 10], 2);
        std::memcpy(&rate_hz, &data[at + 12], 4);
      }
      if (data.compare(at, 4, "data") == 0) pcm = data.substr(at + 8, bytes);
      at += 8 + bytes + bytes % 2;
    }
  }
  // 20 ms of it; empty after the end.
  std::string block(size_t number) const {
    const size_t bytes = rate_hz / 50 * channels * 2;
    return number * bytes < pcm.size() ? pcm.substr(number * bytes, bytes) : std::string();
  }
};

void write_wav(const std::string& path, const std::string& pcm, uint32_t rate_hz) {
  std::ofstream file(path, std::ios::binary);
  const auto number = [&](uint32_t value, int bytes) {
    file.write(reinterpret_cast<const char*>(&value), bytes);
  };
  file << "RIFF", number(36 + pcm.size(), 4), file << "WAVEfmt ", number(16, 4), number(1, 2);
  number(1, 2), number(rate_hz, 4), number(rate_hz * 2, 4), number(2, 2), number(16, 2);
  file << "data", number(pcm.size(), 4), file << pcm;
}

class Server {
 public:
  explicit Server(const std::string& address) : socket_(context_, zmq::socket_type::dealer) {
    socket_.set(zmq::sockopt::linger, 0);
    socket_.set(zmq::sockopt::immediate, 1);
    socket_.set(zmq::sockopt::rcvhwm, 256);
    socket_.set(zmq::sockopt::sndtimeo, 5000);
    socket_.connect(address);
  }
  // send("playhead", "", "turn", 1, "pts", 0.5)
  template <typename... Fields>
  void send(const char* type, const std::string& payload, const Fields&... fields) {
    static_assert(sizeof...(fields) % 2 == 0, "names and values");
    msgpack::sbuffer header;
    msgpack::packer<msgpack::sbuffer> packer(header);
    packer.pack_map(1 + sizeof...(fields) / 2);
    packer.pack("type");
    packer.pack(type);
    (packer.pack(fields), ...);
    if (!socket_.send(zmq::buffer(header.data(), header.size()), zmq::send_flags::sndmore) ||
        !socket_.send(zmq::buffer(payload)))
      throw std::runtime_error("no server answers");
  }
  // The next message within `wait_ms`: its fields (valid until the next call) and its payload.
  bool receive(int wait_ms, Header& fields, std::string& payload) {
    socket_.set(zmq::sockopt::rcvtimeo, wait_ms);
    zmq::message_t header, body;
    if (!socket_.recv(header) || !socket_.recv(body)) return false;
    unpacked_ = msgpack::unpack(static_cast<const char*>(header.data()), header.size());
    fields = unpacked_.get().as<Header>();
    payload = body.to_string();
    return true;
  }

 private:
  zmq::context_t context_;
  zmq::socket_t socket_;
  msgpack::object_handle unpacked_;
};

void ask(const std::string& address, const std::string& question) {
  std::optional<Recording> recording;
  if (question.size() > 4 && question.substr(question.size() - 4) == ".wav")
    recording.emplace(question);

  Server server(address);
  server.send("hello", "", "v", 1, "client", "ask.cpp", "wants_idle", false, "credit", 25,  //
              "audio_rate_hz", recording ? recording->rate_hz : 16000,                      //
              "audio_channels", recording ? recording->channels : 1);
  int64_t generation = 0, turn = 0;
  int fps = 0, rate_hz = 0;  // of `welcome`; 0 before it
  size_t sent = 0;
  double opened_s = 0, played_from_s = 0, clock_due_s = 0, heard_s = now_s();
  std::string sound;
  for (bool is_over = false; !is_over;) {
    if (now_s() > heard_s + 5) throw std::runtime_error("no server answers");
    if (now_s() >= clock_due_s) {
      clock_due_s = now_s() + 0.25;
      server.send("clock", "", "client_s", now_s());
      if (turn > 0) {  // a real player asks its sound card instead
        const double length_s = sound.size() / 2.0 / rate_hz;
        server.send("playhead", "", "turn", turn, "pts", std::min(now_s() - played_from_s, length_s));
      }
    }
    // The recording at the pace of real time, as a microphone gives it.
    if (recording && fps > 0 && now_s() >= opened_s + sent * 0.02) {
      const std::string block = recording->block(sent);
      if (!block.empty()) {
        server.send("audio", block, "seq", sent++);
        if (recording->block(sent).empty()) server.send("end_of_audio", "");
      }
    }
    Header message;
    std::string payload;
    if (!server.receive(10, message, payload)) continue;
    heard_s = now_s();
    const auto type = message.at("type").as<std::string>();
    const auto its_generation = message.at("generation").as<int64_t>();
    generation = std::max(generation, its_generation);
    if (type == "video") server.send("credit", "", "frames", 1);
    if (its_generation < generation) continue;  // of an answer that was interrupted
    if (type == "welcome") {
      fps = message.at("fps").as<int>();
      rate_hz = message.at("speech_rate_hz").as<int>();
      opened_s = now_s();
      if (!recording) server.send("text", "", "text", question);
    } else if (type == "busy" || type == "bye" || type == "error") {
      std::ostringstream text;
      for (const auto& [name, value] : message) text << name << "=" << value << " ";
      throw std::runtime_error(text.str());
    } else if (type == "transcript" || type == "answer") {
      std::cout << type << ": " << message.at("text").as<std::string>() << std::endl;
    } else if (type == "audio") {
      if (turn == 0) played_from_s = now_s();
      turn = message.at("turn").as<int64_t>();
      sound += payload;
    } else if (type == "video" && message.at("turn").as<int64_t>() > 0) {
      char name[32];
      const auto number = std::lround(message.at("pts").as<double>() * fps);
      std::snprintf(name, sizeof name, "%03ld.jpg", number);
      std::ofstream(name, std::ios::binary) << payload;
    }
    is_over = type == "turn_end";
  }
  server.send("bye", "");
  std::this_thread::sleep_for(std::chrono::milliseconds(20));  // ZMQ_LINGER is 0
  write_wav("answer.wav", sound, rate_hz);
}

int main(int count, char** arguments) {
  if (count != 3) {
    std::cerr << "ask ADDRESS (QUESTION.wav | \"QUESTION\")\n";
    return 2;
  }
  try {
    ask(arguments[1], arguments[2]);
  } catch (const std::exception& error) {
    std::cerr << arguments[1] << ": " << error.what() << "\n";
    return 1;
  }
}
