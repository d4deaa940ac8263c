// The client with several servers. client/README.md has the rules.

#include "client/cpp/replicas.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <cmath>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "client/cpp/client.h"
#include "client/cpp/testing/fake_server.h"

namespace actserve {
namespace {

using ::actserve::testing::FakeServer;
using ::actserve::testing::StatusWithReason;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::SizeIs;

const auto kUnavailable = grpc::Status(grpc::UNAVAILABLE, "draining");

// Three servers, and the address that lists them.
class ThreeReplicas : public ::testing::Test {
 protected:
  std::string address() const {
    return absl::StrJoin(servers_, ",",
                         [](std::string* out, const FakeServer& server) {
                           out->append(server.address());
                         });
  }

  std::unique_ptr<Client> Connect() const {
    Client::Options options;
    options.timeout = absl::Seconds(30);
    return *Client::Connect(address(), options);
  }

  std::vector<int> NumForward() const {
    return {servers_[0].num_forward, servers_[1].num_forward,
            servers_[2].num_forward};
  }

  int num_forward() const {
    return servers_[0].num_forward + servers_[1].num_forward +
           servers_[2].num_forward;
  }

  absl::Status Forward(Client& client, const CallOptions& options = {}) {
    const std::vector<float> x = {1};
    std::vector<float> y(1);
    return client.Forward("relu", {View(x)}, MutableBytes(y), options);
  }

  // A Forward that keeps a residual; returns its handle.
  std::string Keep(Client& client) {
    ForwardCall call;
    call.activation = "relu";
    call.inputs = {View(x_)};
    call.output = MutableBytes(y_);
    call.keep_residual = true;
    const auto result = client.ForwardWith(call);
    EXPECT_TRUE(result.ok()) << result.status();
    return result.ok() ? result->residual->handle() : "";
  }

  absl::Status Backward(Client& client, const std::string& residual) {
    BackwardCall call;
    call.activation = "relu";
    call.residual = residual;
    call.inputs = {View(x_)};
    call.wrt = {{"x", MutableBytes(y_)}};
    return client.Backward(call).status();
  }

  // Each server gives handles of its own, and answers for no others.
  void KeepResiduals() {
    for (size_t i = 0; i < 3; ++i) {
      FakeServer& server = servers_[i];
      const std::string prefix = absl::StrCat("server ", i, " ");
      server.forward = [prefix, next = std::make_shared<std::atomic<int>>(0),
                        then = server.forward](
                           grpc::ServerContext* context,
                           const v1::ForwardRequest& request,
                           v1::ForwardResponse& response) {
        const grpc::Status status = then(context, request, response);
        response.mutable_residual()->set_handle(
            absl::StrCat(prefix, (*next)++));
        return status;
      };
      server.backward = [this, prefix, then = server.backward](
                            grpc::ServerContext* context,
                            const v1::BackwardRequest& request,
                            v1::BackwardResponse& response) {
        if (!request.residual().empty() &&
            request.residual().rfind(prefix, 0) != 0) {
          ++num_gone_;
          return StatusWithReason(grpc::NOT_FOUND, "gone", "RESIDUAL_GONE");
        }
        v1::BackwardRequest with_inputs = request;
        if (request.inputs().empty()) {
          auto* input = with_inputs.add_inputs();
          input->set_dtype(v1::DTYPE_FLOAT32);
          input->add_shape(2);
          with_inputs.add_payload(std::string(8, '\0'));
        }
        return then(context, with_inputs, response);
      };
    }
  }

  std::array<FakeServer, 3> servers_;
  std::atomic<int> num_gone_ = 0;
  const std::vector<float> x_ = {1, 2};
  std::vector<float> y_ = {0, 0};
};

TEST_F(ThreeReplicas, TakeTurns) {
  auto client = Connect();

  for (int i = 0; i < 9; ++i) EXPECT_TRUE(Forward(*client).ok());

  EXPECT_THAT(NumForward(), ElementsAre(3, 3, 3));
}

TEST_F(ThreeReplicas, ABusyOneIsPassedOver) {
  absl::Notification entered, leave;
  std::atomic<bool> is_first = true;
  for (FakeServer& server : servers_) {
    server.forward = [&, then = server.forward](
                         grpc::ServerContext* context,
                         const v1::ForwardRequest& request,
                         v1::ForwardResponse& response) {
      if (is_first.exchange(false)) {
        entered.Notify();
        leave.WaitForNotification();
      }
      return then(context, request, response);
    };
  }
  auto client = Connect();
  std::thread busy([&] { EXPECT_TRUE(Forward(*client).ok()); });
  entered.WaitForNotification();

  for (int i = 0; i < 6; ++i) EXPECT_TRUE(Forward(*client).ok());

  auto counts = NumForward();
  std::sort(counts.begin(), counts.end());
  EXPECT_THAT(counts, ElementsAre(1, 3, 3));
  leave.Notify();
  busy.join();
}

TEST_F(ThreeReplicas, ACallGoesOnToOthersAtOnce) {
  // The pause between two tries of one replica would outlast the test.
  std::atomic<int> num_failed = 0;
  for (FakeServer& server : servers_) {
    server.forward = [&, then = server.forward](
                         grpc::ServerContext* context,
                         const v1::ForwardRequest& request,
                         v1::ForwardResponse& response) {
      if (num_failed++ >= 2) return then(context, request, response);
      context->AddTrailingMetadata("grpc-retry-pushback-ms", "600000");
      return kUnavailable;
    };
  }
  auto client = Connect();

  EXPECT_TRUE(Forward(*client).ok());

  EXPECT_THAT(NumForward(), ElementsAre(1, 1, 1));
}

TEST_F(ThreeReplicas, TheOneThatFailedIsSetAside) {
  std::atomic<int> num_failed = 0;
  servers_[1].forward = [&](grpc::ServerContext*, const v1::ForwardRequest&,
                            v1::ForwardResponse&) {
    ++num_failed;
    return kUnavailable;
  };
  auto client = Connect();
  const absl::Time start = absl::Now();

  for (int i = 0; i < 200; ++i) EXPECT_TRUE(Forward(*client).ok());

  // At 0, 0.1, 0.3, 0.7, 1.5, 3.1 ... s.
  const double seconds = absl::ToDoubleSeconds(absl::Now() - start);
  EXPECT_GE(num_failed, 1);
  EXPECT_LE(num_failed, 2 + std::log2(1 + 10 * seconds));
}

TEST_F(ThreeReplicas, AttemptsCountRounds) {
  for (FakeServer& server : servers_) {
    server.forward = [](grpc::ServerContext* context, const v1::ForwardRequest&,
                        v1::ForwardResponse&) {
      context->AddTrailingMetadata("grpc-retry-pushback-ms", "1");
      return kUnavailable;
    };
  }
  Client::Options options;
  options.max_attempts = 4;
  auto client = *Client::Connect(address(), options);

  EXPECT_EQ(Forward(*client), absl::UnavailableError("draining"));

  EXPECT_THAT(NumForward(), ElementsAre(4, 4, 4));
}

TEST_F(ThreeReplicas, AnErrorThatIsAnAnswerGoesNowhereElse) {
  for (FakeServer& server : servers_) {
    server.forward = [](grpc::ServerContext*, const v1::ForwardRequest&,
                        v1::ForwardResponse&) {
      return grpc::Status(grpc::INVALID_ARGUMENT, "no");
    };
  }
  auto client = Connect();

  EXPECT_EQ(Forward(*client), absl::InvalidArgumentError("no"));

  EXPECT_EQ(num_forward(), 1);
}

TEST_F(ThreeReplicas, BackwardGoesWhereTheResidualIs) {
  KeepResiduals();
  auto client = Connect();
  std::vector<std::string> residuals;
  for (int i = 0; i < 30; ++i) residuals.push_back(Keep(*client));

  for (const std::string& residual : residuals) {
    EXPECT_TRUE(Backward(*client, residual).ok());
  }

  EXPECT_EQ(num_gone_, 0);
  EXPECT_THAT(NumForward(), ElementsAre(10, 10, 10));
}

TEST_F(ThreeReplicas, BackwardGoesElsewhereWhereThatOneDoesNotAnswer) {
  KeepResiduals();
  auto client = Connect();
  const std::string residual = Keep(*client);
  for (int i = 0; i < 3; ++i) {
    if (servers_[i].num_forward == 0) continue;
    servers_[i].backward = [](grpc::ServerContext*, const v1::BackwardRequest&,
                              v1::BackwardResponse&) { return kUnavailable; };
  }

  EXPECT_TRUE(Backward(*client, residual).ok());

  EXPECT_EQ(num_gone_, 1);
}

TEST_F(ThreeReplicas, AReplicaIsTaughtWhatItDoesNotKnow) {
  std::atomic<bool> knows[3] = {};
  for (size_t i = 0; i < 3; ++i) {
    FakeServer& server = servers_[i];
    server.register_activation =
        [&, i](grpc::ServerContext*, const v1::RegisterActivationRequest&,
               v1::RegisterActivationResponse& response) {
          knows[i] = true;
          response.mutable_activation()->set_id("relu");
          return grpc::Status::OK;
        };
    server.forward = [&, i, then = server.forward](
                         grpc::ServerContext* context,
                         const v1::ForwardRequest& request,
                         v1::ForwardResponse& response) {
      if (knows[i]) return then(context, request, response);
      return StatusWithReason(grpc::NOT_FOUND, "no such activation",
                              "ACTIVATION_UNKNOWN");
    };
  }
  auto client = Connect();
  ASSERT_TRUE(client->RegisterActivation("def relu(x): ...").ok());

  for (int i = 0; i < 6; ++i) EXPECT_TRUE(Forward(*client).ok());

  // Each but the first to learn it refused one call.
  EXPECT_EQ(num_forward(), 6 + 2);
  for (const FakeServer& server : servers_) {
    EXPECT_EQ(server.num_register_activation, 1);
  }
}

TEST_F(ThreeReplicas, AListComesFromOneServer) {
  std::atomic<int> num_refused = 0;
  for (FakeServer& server : servers_) {
    server.list_activations = [&, then = server.list_activations](
                                  grpc::ServerContext* context,
                                  const v1::ListActivationsRequest& request,
                                  v1::ListActivationsResponse& response) {
      const grpc::Status status = then(context, request, response);
      num_refused += !status.ok();
      return status;
    };
  }
  auto client = Connect();

  for (int i = 0; i < 4; ++i) {
    const auto list = client->ListActivations();
    ASSERT_TRUE(list.ok()) << list.status();
    EXPECT_THAT(*list, SizeIs(2));
  }

  EXPECT_EQ(num_refused, 0);
}

TEST_F(ThreeReplicas, AListThatIsCutBeginsAnewElsewhere) {
  std::atomic<bool> cut = true;
  for (FakeServer& server : servers_) {
    server.list_activations = [&, then = server.list_activations](
                                  grpc::ServerContext* context,
                                  const v1::ListActivationsRequest& request,
                                  v1::ListActivationsResponse& response) {
      if (!request.page_token().empty() && cut.exchange(false)) {
        return kUnavailable;
      }
      return then(context, request, response);
    };
  }
  auto client = Connect();

  const auto list = client->ListActivations();

  EXPECT_FALSE(cut);
  ASSERT_TRUE(list.ok()) << list.status();
  ASSERT_THAT(*list, SizeIs(2));
  EXPECT_EQ((*list)[0].name(), "gelu");
  EXPECT_EQ((*list)[1].name(), "relu");
}

TEST_F(ThreeReplicas, AListThatNoServerContinuesIsAnError) {
  for (FakeServer& server : servers_) {
    server.list_activations = [then = server.list_activations](
                                  grpc::ServerContext* context,
                                  const v1::ListActivationsRequest& request,
                                  v1::ListActivationsResponse& response) {
      if (!request.page_token().empty()) {
        return grpc::Status(grpc::INVALID_ARGUMENT, "page_token");
      }
      return then(context, request, response);
    };
  }
  auto client = Connect();

  EXPECT_EQ(client->ListActivations().status(),
            absl::InvalidArgumentError("page_token"));
}

TEST_F(ThreeReplicas, ResidualsAreReleasedWhereTheyAre) {
  KeepResiduals();
  std::mutex mutex;
  std::vector<std::string> released[3];
  for (size_t i = 0; i < 3; ++i) {
    servers_[i].release_residuals =
        [&, i, then = servers_[i].release_residuals](
            grpc::ServerContext* context,
            const v1::ReleaseResidualsRequest& request,
            v1::ReleaseResidualsResponse& response) {
          std::lock_guard lock(mutex);
          for (const std::string& handle : request.handles()) {
            released[i].push_back(handle);
          }
          return then(context, request, response);
        };
  }
  auto client = Connect();
  std::vector<std::string> handles;
  for (int i = 0; i < 9; ++i) handles.push_back(Keep(*client));

  EXPECT_EQ(*client->ReleaseResiduals(handles), 9);

  for (int i = 0; i < 3; ++i) {
    const std::string prefix = absl::StrCat("server ", i, " ");
    EXPECT_THAT(released[i],
                ElementsAre(prefix + "0", prefix + "1", prefix + "2"));
  }
}

TEST_F(ThreeReplicas, EveryCallNamesTheSession) {
  std::mutex mutex;
  std::set<std::string> sessions;
  for (FakeServer& server : servers_) {
    server.forward = [&, then = server.forward](
                         grpc::ServerContext* context,
                         const v1::ForwardRequest& request,
                         v1::ForwardResponse& response) {
      const auto range =
          context->client_metadata().equal_range("x-actserve-session");
      std::lock_guard lock(mutex);
      EXPECT_EQ(std::distance(range.first, range.second), 1);
      sessions.emplace(range.first->second.data(), range.first->second.size());
      return then(context, request, response);
    };
  }
  auto one = Connect();
  auto other = Connect();

  for (int i = 0; i < 4; ++i) {
    EXPECT_TRUE(Forward(*one).ok() && Forward(*other).ok());
  }

  EXPECT_THAT(sessions, SizeIs(2));
  EXPECT_THAT(sessions, Each(SizeIs(32)));
}

TEST_F(ThreeReplicas, HealthIsThatOfAny) {
  auto client = Connect();
  EXPECT_TRUE(client->Health().ok());
  servers_[0].SetServing(false);
  servers_[2].SetServing(false);
  EXPECT_TRUE(client->Health().ok());

  const auto healths = client->HealthOfReplicas();

  ASSERT_TRUE(healths.ok());
  ASSERT_THAT(*healths, SizeIs(3));
  EXPECT_EQ((*healths)[0].address, servers_[0].address());
  EXPECT_EQ((*healths)[0].status,
            absl::UnavailableError("health is NOT_SERVING"));
  EXPECT_TRUE((*healths)[1].status.ok());
  servers_[1].SetServing(false);
  EXPECT_EQ(client->Health().code(), absl::StatusCode::kUnavailable);
}

TEST_F(ThreeReplicas, CancelEndsAPauseAfterARound) {
  Cancellation cancellation;
  for (FakeServer& server : servers_) {
    server.forward = [&](grpc::ServerContext* context,
                         const v1::ForwardRequest&, v1::ForwardResponse&) {
      context->AddTrailingMetadata("grpc-retry-pushback-ms", "25000");
      if (num_forward() == 3) cancellation.Cancel();
      return grpc::Status(grpc::RESOURCE_EXHAUSTED, "queue is full");
    };
  }
  auto client = Connect();
  CallOptions options;
  options.cancellation = &cancellation;

  EXPECT_EQ(Forward(*client, options).code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(num_forward(), 3);
}

TEST_F(ThreeReplicas, TheSoonestOfTheirPausesCounts) {
  std::atomic<int> num_calls = 0;
  for (size_t i = 0; i < 3; ++i) {
    servers_[i].forward = [&, i, then = servers_[i].forward](
                              grpc::ServerContext* context,
                              const v1::ForwardRequest& request,
                              v1::ForwardResponse& response) {
      if (num_calls++ >= 3) return then(context, request, response);
      context->AddTrailingMetadata("grpc-retry-pushback-ms",
                                   i == 1 ? "1" : "600000");
      return grpc::Status(grpc::RESOURCE_EXHAUSTED, "queue is full");
    };
  }
  auto client = Connect();

  EXPECT_TRUE(Forward(*client).ok());

  EXPECT_EQ(num_calls, 4);
}

// Names, by a lookup of the test's own.

constexpr char kInfo[] = "/actserve.v1.ActivationService/GetServerInfo";

Bounds WithinSeconds(double seconds) {
  return {absl::Now() + absl::Seconds(seconds), nullptr, kMaxAttempts};
}

TEST_F(ThreeReplicas, ANameStandsForAllOfItsAddresses) {
  std::mutex mutex;
  std::multiset<std::string> hosts;
  std::atomic<int> num_calls[3] = {};
  for (size_t i = 0; i < 3; ++i) {
    servers_[i].get_server_info = [&, i](grpc::ServerContext* context,
                                         const v1::GetServerInfoRequest&,
                                         v1::ServerInfo&) {
      const auto authority = context->ExperimentalGetAuthority();
      std::lock_guard lock(mutex);
      hosts.emplace(authority.data(), authority.size());
      ++num_calls[i];
      return grpc::Status::OK;
    };
  }
  std::vector<std::string> targets;
  for (const FakeServer& server : servers_) {
    targets.push_back("ipv4:" + server.address());
  }
  Replicas replicas("dns:///replicas.localhost:50051",
                    [&](const HostPort& name) {
                      EXPECT_EQ(name.host, "replicas.localhost");
                      EXPECT_EQ(name.port, "50051");
                      return targets;
                    });

  for (int i = 0; i < 6; ++i) {
    ReplicaPtr place;
    const auto reply = replicas.Call(kInfo, {}, WithinSeconds(30), place);
    ASSERT_TRUE(reply.ok()) << reply.status();
  }

  for (const auto& num : num_calls) EXPECT_EQ(num, 2);
  EXPECT_THAT(hosts, SizeIs(6));
  EXPECT_THAT(hosts, Each("replicas.localhost:50051"));
}

TEST_F(ThreeReplicas, ANameThatMovedIsFound) {
  std::mutex mutex;
  std::vector<std::string> targets = {"ipv4:127.0.0.1:1"};
  Replicas replicas("dns:///replicas.localhost:50051", [&](const HostPort&) {
    std::lock_guard lock(mutex);
    return targets;
  });
  ReplicaPtr place;
  Bounds once = WithinSeconds(30);
  once.max_attempts = 1;
  EXPECT_EQ(replicas.Call(kInfo, {}, once, place).status().code(),
            absl::StatusCode::kUnavailable);
  {
    std::lock_guard lock(mutex);
    targets = {"ipv4:" + servers_[1].address()};
  }

  place = nullptr;
  const auto reply = replicas.Call(kInfo, {}, WithinSeconds(30), place);

  EXPECT_TRUE(reply.ok()) << reply.status();
  EXPECT_EQ(place->address(), "ipv4:" + servers_[1].address());
}

}  // namespace
}  // namespace actserve
