#include "kernels/lang/parser.h"

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernels/catalog/catalog.h"

namespace actserve {
namespace {

// Texts that must be accepted as users write them.
const std::vector<std::string>& AcceptedTexts() {
  static const auto* const texts = new std::vector<std::string>{
      R"py(
def np_spiky(x):
    r = x % 1
    if r <= 0.5:
        return r
    else:
        return 0
)py",
      R"py(
def tf_spiky(x):
    return tf.where(tf.less_equal(tf.floormod(x, tf.constant(1)), tf.constant(0.5)), tf.floormod(x, tf.constant(1)), tf.constant(0))
)py",
      R"py(
import tensorflow as tf

@tf.function(jit_compile=True)
def tf_spiky(x):
    one = tf.constant(1.0, dtype=tf.float32)
    r = tf.math.floormod(x, one)
    return tf.where(r <= 0.5, r, tf.zeros_like(x))
)py",
  };
  return *texts;
}

TEST(Parse, AcceptsWhatUsersPaste) {
  for (const std::string& text : AcceptedTexts()) {
    Diagnostics diagnostics(text);
    EXPECT_TRUE(Parse(text, {}, LanguageLimits(), diagnostics))
        << diagnostics.Render();
  }
}

TEST(Parse, AcceptsEveryCatalogueText) {
  for (const CatalogEntry& entry : Catalog()) {
    Diagnostics diagnostics(entry.text);
    EXPECT_TRUE(Parse(entry.text, {}, LanguageLimits(), diagnostics))
        << diagnostics.Render();
    EXPECT_THAT(diagnostics.list(), testing::IsEmpty()) << entry.name;
  }
}

}  // namespace
}  // namespace actserve
