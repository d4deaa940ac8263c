// Who may connect: TLS, client certificates, and their reload, over the
// network.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/ssl.h>
#include <signal.h>

#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "grpcpp/security/credentials.h"
#include "kernels/device/testing/scratch_directory.h"
#include "server/end_to_end/calls.h"
#include "server/end_to_end/scrape.h"
#include "server/testing/certificates.h"
#include "server/testing/server_process.h"

namespace actserve::testing {
namespace {

using ::testing::HasSubstr;

class Tls : public ::testing::Test {
 protected:
  Tls() {
    Replace(ca_.Sign("first"));
    ReplaceFile(folder_.path() + "/ca.pem", ca_.cert());
  }

  void Replace(const Authority::Pair& pair) {
    ReplaceFile(folder_.path() + "/cert.pem", pair.cert);
    ReplaceFile(folder_.path() + "/key.pem", pair.key);
  }
  void Start(std::vector<std::string> flags = {}) {
    flags.push_back("--device=cpu");
    flags.push_back(absl::StrCat("--tls_cert=", folder_.path(), "/cert.pem"));
    flags.push_back(absl::StrCat("--tls_key=", folder_.path(), "/key.pem"));
    auto server = ServerProcess::Start(BinaryOfBuild(ACTSERVED_BINARY), flags);
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
  }
  void StartMutual() {
    Start({absl::StrCat("--tls_client_ca=", folder_.path(), "/ca.pem")});
  }

  // A new connection.
  std::unique_ptr<Stub> StubFor(const std::string& authority,
                                const Authority::Pair& client = {}) const {
    return v1::ActivationService::NewStub(
        ChannelTo(server_->tcp_address(),
                  grpc::SslCredentials({authority, client.key, client.cert})));
  }
  // The status of a Forward over a new connection.
  grpc::Status Call(const std::string& authority,
                    const Authority::Pair& client = {}) const {
    auto stub = StubFor(authority, client);
    v1::ForwardResponse response;
    return Forward(*stub, ForwardOf("relu", {1, -1}), &response);
  }

  // The name in the certificate of a new connection, "" if its handshake fails.
  std::string NameOfServer(int version = TLS1_3_VERSION) const {
    SSL_CTX* const context = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_security_level(context, 0);  // to try old versions at all
    SSL_CTX_set_min_proto_version(context, TLS1_VERSION);
    SSL_CTX_set_max_proto_version(context, version);
    static constexpr unsigned char kH2[] = "\x02h2";
    SSL_CTX_set_alpn_protos(context, kH2, 3);
    BIO* const bio = BIO_new_ssl_connect(context);
    BIO_set_conn_hostname(bio, server_->tcp_address().c_str());
    std::string name;
    if (BIO_do_connect(bio) == 1) {
      SSL* ssl = nullptr;
      BIO_get_ssl(bio, &ssl);
      const unsigned char* protocol = nullptr;
      unsigned size = 0;
      SSL_get0_alpn_selected(ssl, &protocol, &size);
      EXPECT_EQ(std::string(reinterpret_cast<const char*>(protocol), size),
                "h2");
      char text[100] = {};
      X509_NAME_get_text_by_NID(
          X509_get_subject_name(SSL_get0_peer_certificate(ssl)), NID_commonName,
          text, sizeof(text));
      name = text;
    }
    BIO_free_all(bio);
    SSL_CTX_free(context);
    return name;
  }
  bool ServesSoon(const std::string& name) const {
    const absl::Time deadline = absl::Now() + absl::Minutes(1);
    while (absl::Now() < deadline) {
      if (NameOfServer() == name) return true;
      absl::SleepFor(absl::Milliseconds(50));
    }
    return false;
  }

  const Authority ca_{"authority"};
  const ScratchDirectory folder_;
  std::unique_ptr<ServerProcess> server_;
};

TEST_F(Tls, ServesThoseWhoTrustItsAuthority) {
  Start();

  const grpc::Status status = Call(ca_.cert());
  EXPECT_TRUE(status.ok()) << status.error_message();
  const Authority other("other");
  EXPECT_EQ(Call(other.cert()).error_code(), grpc::StatusCode::UNAVAILABLE);
  auto plain =
      v1::ActivationService::NewStub(ChannelTo(server_->tcp_address()));
  v1::ForwardResponse response;
  EXPECT_EQ(Forward(*plain, ForwardOf("relu", {1}), &response).error_code(),
            grpc::StatusCode::UNAVAILABLE);
  auto local =
      v1::ActivationService::NewStub(ChannelTo(server_->unix_address()));
  EXPECT_TRUE(Forward(*local, ForwardOf("relu", {1}), &response).ok());
}

TEST_F(Tls, SpeaksNoVersionBefore1_2) {
  Start();

  EXPECT_EQ(NameOfServer(TLS1_VERSION), "");
  EXPECT_EQ(NameOfServer(TLS1_1_VERSION), "");
  EXPECT_EQ(NameOfServer(TLS1_2_VERSION), "first");
  EXPECT_EQ(NameOfServer(TLS1_3_VERSION), "first");
}

TEST_F(Tls, MutualTlsWantsACertificateOfItsAuthority) {
  StartMutual();
  const Authority other("other");

  const grpc::Status status = Call(ca_.cert(), ca_.Sign("alice"));
  EXPECT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(Call(ca_.cert()).error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(Call(ca_.cert(), other.Sign("alice")).error_code(),
            grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(Call(ca_.cert(), ca_.Sign("alice", absl::Now() - absl::Hours(48)))
                .error_code(),
            grpc::StatusCode::UNAVAILABLE)
      << "expired";
}

// Names of different clients are different tenants.
TEST_F(Tls, ACertificateNamesATenant) {
  StartMutual();
  auto alice = StubFor(ca_.cert(), ca_.Sign("alice"));
  auto again = StubFor(ca_.cert(), ca_.Sign("alice"));
  auto bob = StubFor(ca_.cert(), ca_.Sign("bob"));
  v1::RegisterActivationResponse registered;
  ASSERT_TRUE(
      Register(*alice, "def f(x):\n    return x + 1.25\n", &registered).ok());
  const auto request = ForwardOf(registered.activation().id(), {1});
  v1::ForwardResponse response;

  EXPECT_TRUE(Forward(*again, request, &response).ok());
  EXPECT_EQ(Forward(*bob, request, &response).error_code(),
            grpc::StatusCode::NOT_FOUND);
}

TEST_F(Tls, ServesANewCertificateAndKeepsConnections) {
  Start();
  auto stub = StubFor(ca_.cert());
  v1::ForwardResponse response;
  ASSERT_TRUE(Forward(*stub, ForwardOf("relu", {1}), &response).ok());

  Replace(ca_.Sign("second"));

  EXPECT_TRUE(ServesSoon("second"));
  EXPECT_TRUE(Forward(*stub, ForwardOf("relu", {1}), &response).ok());
  ReplaceFile(folder_.path() + "/cert.pem", "damaged");
  EXPECT_TRUE(server_->WaitForEvent("tls_not_reloaded"));
  EXPECT_EQ(NameOfServer(), "second");
}

TEST_F(Tls, MetricsTellOfExpiryAndOfReloads) {
  Start({"--metrics=127.0.0.1:0"});
  const std::string address = MetricsAddressOf(*server_);
  const auto read = [&] { return SeriesOf(Scrape(address)); };
  constexpr char kExpiry[] = "actserve_certificate_expiry_timestamp_seconds";
  constexpr char kOk[] = "actserve_reloads_total{files=\"tls\",result=\"ok\"}";
  constexpr char kFailed[] =
      "actserve_reloads_total{files=\"tls\",result=\"failed\"}";
  constexpr char kLast[] = "actserve_last_reload_successful{files=\"tls\"}";
  const double now = absl::ToDoubleSeconds(absl::Now() - absl::UnixEpoch());
  EXPECT_NEAR(read()[kExpiry], now + 24 * 3600, 600);
  EXPECT_EQ(read()[kLast], 1);

  ReplaceFile(folder_.path() + "/cert.pem", "damaged");
  server_->WaitForEvent("tls_not_reloaded");
  auto wrong = read();
  Replace(ca_.Sign("second", absl::Now() - absl::Hours(12)));
  EXPECT_TRUE(ServesSoon("second"));
  auto right = read();

  EXPECT_EQ(wrong[kLast], 0);
  EXPECT_GE(wrong[kFailed], 1);
  EXPECT_EQ(wrong[kOk], 0);
  EXPECT_NEAR(wrong[kExpiry], now + 24 * 3600, 600);
  EXPECT_EQ(right[kLast], 1);
  EXPECT_GE(right[kOk], 1);
  EXPECT_NEAR(right[kExpiry], now + 12 * 3600, 600);
}

TEST_F(Tls, ReadsItsFilesOnSighup) {
  Start();

  Replace(ca_.Sign("second"));
  server_->Signal(SIGHUP);

  EXPECT_TRUE(ServesSoon("second"));
}

// Clients that come while the two files are replaced, one by one and again and
// again, always find a pair that fits.
TEST_F(Tls, NeverServesAPairThatDoesNotFit) {
  Start();
  for (int i = 0; i < 4; ++i) {
    const std::string name = absl::StrCat("pair", i);
    const Authority::Pair pair = ca_.Sign(name);
    ReplaceFile(folder_.path() + "/cert.pem", pair.cert);
    server_->Signal(SIGHUP);  // reads the certificate with the old key
    const absl::Time until = absl::Now() + absl::Milliseconds(200);
    while (absl::Now() < until) ASSERT_TRUE(Call(ca_.cert()).ok());
    ReplaceFile(folder_.path() + "/key.pem", pair.key);
    server_->Signal(SIGHUP);
    EXPECT_TRUE(ServesSoon(name));
  }
  EXPECT_TRUE(server_->WaitForEvent("tls_not_reloaded"));
}

TEST_F(Tls, DoesNotStartWithoutEncryptionBeyondLoopback) {
  const auto start = [&](std::vector<std::string> flags) {
    flags.push_back("--device=cpu");
    return ServerProcess::Start(BinaryOfBuild(ACTSERVED_BINARY), flags)
        .status();
  };
  for (const std::string& address :
       {std::string("0.0.0.0:0"), std::string(":0"), std::string("[::]:0"),
        std::string("127.0.0.1:0,0.0.0.0:0"), std::string("128.0.0.1:0"),
        std::string("localhost.example.com:0")}) {
    SCOPED_TRACE(address);
    EXPECT_THAT(std::string(start({"--listen=" + address}).message()),
                HasSubstr("is reachable from other machines: give --tls_cert"));
  }
  for (const std::string& address :
       {std::string("127.9.9.9:0"), std::string("localhost:0")}) {
    SCOPED_TRACE(address);
    EXPECT_TRUE(start({"--listen=" + address}).ok());
  }
  EXPECT_TRUE(start({"--listen=0.0.0.0:0", "--insecure"}).ok());
  EXPECT_TRUE(start({"--listen=0.0.0.0:0",
                     absl::StrCat("--tls_cert=", folder_.path(), "/cert.pem"),
                     absl::StrCat("--tls_key=", folder_.path(), "/key.pem")})
                  .ok());
}

TEST_F(Tls, NamesTheFileThatIsWrong) {
  const auto message = [&] {
    return std::string(
        ServerProcess::Start(
            BinaryOfBuild(ACTSERVED_BINARY),
            {"--device=cpu",
             absl::StrCat("--tls_cert=", folder_.path(), "/cert.pem"),
             absl::StrCat("--tls_key=", folder_.path(), "/key.pem")})
            .status()
            .message());
  };
  Replace(ca_.Sign("old", absl::Now() - absl::Hours(48)));
  EXPECT_THAT(message(), HasSubstr(absl::StrCat("tls_cert: ", folder_.path(),
                                                "/cert.pem: expired at ")));
  ReplaceFile(folder_.path() + "/cert.pem", ca_.Sign("other").cert);
  EXPECT_THAT(message(), HasSubstr("tls_key: "));
}

}  // namespace
}  // namespace actserve::testing
