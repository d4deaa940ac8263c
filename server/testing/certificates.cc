#include "server/testing/certificates.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>

#include <cstdio>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"

namespace actserve::testing {
namespace {

template <typename Write>
std::string Pem(Write write) {
  BIO* const bio = BIO_new(BIO_s_mem());
  write(bio);
  char* bytes = nullptr;
  const long size = BIO_get_mem_data(bio, &bytes);
  std::string pem(bytes, size);
  BIO_free(bio);
  return pem;
}

std::string PemOf(X509* cert) {
  return Pem([&](BIO* bio) { PEM_write_bio_X509(bio, cert); });
}

void Extend(X509* cert, X509* issuer, int kind, const char* value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, cert, nullptr, nullptr, 0);
  X509_EXTENSION* const extension =
      X509V3_EXT_conf_nid(nullptr, &context, kind, value);
  X509_add_ext(cert, extension, -1);
  X509_EXTENSION_free(extension);
}

// A certificate without extensions and signature, valid for a day.
X509* Draft(const std::string& name, EVP_PKEY* key, absl::Time begins) {
  static int serial = 0;
  X509* const cert = X509_new();
  X509_set_version(cert, 2);
  ASN1_INTEGER_set(X509_get_serialNumber(cert), ++serial);
  const absl::Time from =
      begins == absl::InfinitePast() ? absl::Now() - absl::Minutes(5) : begins;
  ASN1_TIME_set(X509_getm_notBefore(cert), absl::ToTimeT(from));
  ASN1_TIME_set(X509_getm_notAfter(cert),
                absl::ToTimeT(from + absl::Hours(24)));
  X509_set_pubkey(cert, key);
  X509_NAME_add_entry_by_txt(
      X509_get_subject_name(cert), "CN", MBSTRING_ASC,
      reinterpret_cast<const unsigned char*>(name.c_str()), -1, -1, 0);
  return cert;
}

}  // namespace

struct Authority::Parts {
  EVP_PKEY* key = nullptr;
  X509* cert = nullptr;
};

Authority::Authority(const std::string& name)
    : parts_(std::make_unique<Parts>()) {
  parts_->key = EVP_EC_gen("P-256");
  parts_->cert = Draft(name, parts_->key, absl::InfinitePast());
  X509_set_issuer_name(parts_->cert, X509_get_subject_name(parts_->cert));
  Extend(parts_->cert, parts_->cert, NID_basic_constraints, "critical,CA:TRUE");
  X509_sign(parts_->cert, parts_->key, EVP_sha256());
  cert_ = PemOf(parts_->cert);
}

Authority::~Authority() {
  X509_free(parts_->cert);
  EVP_PKEY_free(parts_->key);
}

Authority::Pair Authority::Sign(const std::string& name,
                                absl::Time begins) const {
  EVP_PKEY* const key = EVP_EC_gen("P-256");
  X509* const cert = Draft(name, key, begins);
  X509_set_issuer_name(cert, X509_get_subject_name(parts_->cert));
  Extend(cert, parts_->cert, NID_subject_alt_name,
         "DNS:localhost,IP:127.0.0.1");
  X509_sign(cert, parts_->key, EVP_sha256());
  Pair pair;
  pair.cert = PemOf(cert);
  pair.key = Pem([&](BIO* bio) {
    PEM_write_bio_PrivateKey(bio, key, nullptr, nullptr, 0, nullptr, nullptr);
  });
  X509_free(cert);
  EVP_PKEY_free(key);
  return pair;
}

void ReplaceFile(const std::string& path, const std::string& content) {
  const std::string draft = absl::StrCat(path, ".draft");
  std::ofstream(draft) << content;
  chmod(draft.c_str(), 0600);
  std::rename(draft.c_str(), path.c_str());
}

}  // namespace actserve::testing
