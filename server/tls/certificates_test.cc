#include "server/tls/certificates.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "kernels/device/testing/scratch_directory.h"
#include "server/testing/certificates.h"

namespace actserve {
namespace {

using testing::Authority;
using ::testing::HasSubstr;
using ::testing::Not;
using testing::ReplaceFile;

class CertificatesTest : public ::testing::Test {
 protected:
  CertificatesTest() {
    files_ = {.cert = folder_.path() + "/cert.pem",
              .key = folder_.path() + "/key.pem",
              .client_ca = folder_.path() + "/ca.pem"};
    Write(ca_.Sign("server"));
    ReplaceFile(files_.client_ca, ca_.cert());
  }

  void Write(const Authority::Pair& pair) {
    ReplaceFile(files_.cert, pair.cert);
    ReplaceFile(files_.key, pair.key);
  }
  std::string Error() const {
    return std::string(LoadTls(files_, absl::Now()).status().message());
  }

  const Authority ca_{"authority"};
  const testing::ScratchDirectory folder_;
  TlsFiles files_;
};

TEST_F(CertificatesTest, LoadsWhatBelongsTogether) {
  const auto material = LoadTls(files_, absl::Now());

  ASSERT_TRUE(material.ok()) << material.status();
  EXPECT_EQ(material->client_ca, ca_.cert());
  EXPECT_GT(material->expires, absl::Now() + absl::Hours(23));
  EXPECT_EQ(files_.paths().size(), 3);
}

TEST_F(CertificatesTest, NamesTheFlagAndTheFile) {
  const Authority::Pair other = ca_.Sign("other");
  ReplaceFile(files_.key, other.key);
  EXPECT_THAT(Error(), HasSubstr(absl::StrCat("tls_key: ", files_.key,
                                              ": not the key of")));
  ReplaceFile(files_.key, "no key");
  EXPECT_THAT(Error(), HasSubstr("tls_key: "));
  EXPECT_THAT(Error(), Not(HasSubstr("no key")));
  Write(other);
  ReplaceFile(files_.cert, other.key);
  EXPECT_EQ(Error(),
            absl::StrCat("tls_cert: ", files_.cert, ": no certificate in PEM"));
  ReplaceFile(files_.cert, other.cert + other.cert.substr(0, 200));
  EXPECT_THAT(Error(), HasSubstr("certificate 2 is damaged"));
  std::filesystem::remove(files_.cert);
  EXPECT_THAT(Error(), HasSubstr("No such file"));
  Write(other);
  ReplaceFile(files_.client_ca, "x");
  EXPECT_THAT(Error(), HasSubstr("tls_client_ca: "));
}

TEST_F(CertificatesTest, RefusesACertificateOutOfItsTime) {
  Write(ca_.Sign("server", absl::Now() - absl::Hours(48)));
  EXPECT_THAT(Error(), HasSubstr(": expired at "));
  Write(ca_.Sign("server", absl::Now() + absl::Hours(1)));
  EXPECT_THAT(Error(), HasSubstr(": not valid before "));
}

}  // namespace
}  // namespace actserve
