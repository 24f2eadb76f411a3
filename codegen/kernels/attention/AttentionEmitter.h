// The attention emitter: one code for decode and prefill, for whole rows and for chunks of them, so that a row's result
// does not depend on its company or on how many threads share it.
#pragma once
#include "codegen/kernels/attention/Emitters.h"
#include "codegen/kernels/attention/KvWriter.h"
#include "codegen/kernels/rowwise/Row.h"
#include "llmc_kernel.h"

namespace llmc {

/// How products are summed. Float: f32 multiply-adds of widened elements. Bf16: dot products of bf16 pairs, queries
/// and weights rounded to bf16. Words: dot products of 16-bit integer pairs; queries and weights have one scale for
/// each head (weights: and page) and 15 bits.
enum class AttentionMath { Float, Bf16, Words };

/// A run is consecutive positions of one sequence, at most `runRows` rows of a unit. Its (row, head of the group) are
/// `pairs`, rows first; of a group that is larger than `headsTogether`, one part of the heads after the other. Each
/// pair has on the stack: a state (below), its query, the sum of the chunk and the sum of all chunks so far.
///
/// A chunk of a row on its own (LLMC_ATTENTION_CHUNKS) has kv heads in place of rows: page by page, all of them, as
/// they are in memory.
///
/// Scores are in units of log2(e): queries are multiplied by it, so that weights are exp2(score - maximum).
///
/// Registers of a run: r14 = its rows. In a page: r15 = the kv head's part of it. Slots hold the rest. What a function
/// does not say that it keeps, it may clobber, but for rbp, rsp, r14 and r15.
class AttentionEmitter {
public:
  AttentionEmitter(Assembler &a, const AttentionDesc &d, AttentionIsa isa);
  void emit();
  /// Bytes of stack that `emit` takes.
  int64_t frameBytes() const { return convertedOffset() + (converts() ? roundUp(layout.bytes(), kAlign) : 0); }

private:
  using Math = AttentionMath;
  enum Slot {
    kArgs,
    kBatch,
    kUnit,
    kPhase,
    kBlocks,     // of rows, in the whole step
    kRow,        // first of the run
    kRowEnd,     // of the unit
    kKvHead,     //
    kHeadEnd,    // kv heads [kKvHead, kHeadEnd) of the chunk are the thread's
    kCursor,     // pages of all kv heads before the chunk; the thread's are [kShareBegin, kShareEnd)
    kShareBegin, //
    kShareEnd,   //
    kHeadPart,   // page 0's part of the layer and kv head
    kPosition,   // of the run's first row
    kSequence,   //
    kFirstHead,  // of the part of the group
    kHeads,      // of the part
    kChunkFirst, // of the run
    kChunk,      //
    kChunkLast,  //
    kPage,       //
    kPageLast,   // of the chunk
    kSeen,       // rows [kSeen, kSeenEnd) of the run see something of the page or chunk
    kSeenEnd,    //
    kOffset,     // position of the run's first row minus that of the page's first key
    kNextPart,   // the kv head's part of the next page
    kCommon,     // [kCommon, kCommonEnd): units of positions that all rows of a page see whole
    kCommonEnd,  //
    kEdgeBegin,  // first position that a row sees, and the one behind the last
    kEdgeEnd,    //
    kUnits,      // units [kUnits, kUnitsEnd) are added
    kUnitsEnd,   //
    kTableRow,   // cosines and sines
    kOutput,     // y of the run's first row
    kSlots
  };
  Xbyak::Address slot(Slot s) const { return a.qword[a.rsp + 8 * int(s)]; }
  void argument(const Xbyak::Reg64 &to, size_t field);
  void batchField(const Xbyak::Reg64 &to, size_t field);

  // AttentionEmitter.cpp: chunks and pages
  void decodeUnit();
  void findHead();
  void chunksOfRun();
  void append();
  void allParts();
  void part();
  void pagesOfChunk();
  void pages();
  void page();
  void convertPage();
  void convertRows(int64_t count, int64_t width);
  void nextOfHeads();
  void fetchAhead(int bytes);
  /// reg *= heads of the part; reg := heads of the part.
  void timesHeads(const Xbyak::Reg64 &reg);
  void loadHeads(const Xbyak::Reg64 &reg);

  // Runs.cpp
  void unit();
  void firstOfRun();
  void findRun();
  void run();
  void seenRows(const Xbyak::Reg64 &begin, int64_t positions);
  /// r12 runs over rows [kSeen, kSeenEnd).
  void seenRowsLoop(llvm::function_ref<void()> body);

  // Share.cpp: a thread's part of the chunks of few rows
  void shareOfChunks(const Xbyak::Label &done);
  void divideShares();
  void headsOfShare(Xbyak::Label &none, const Xbyak::Label &done);
  void chunkUnit();

  // Queries.cpp
  void queries();
  void query();
  void queryWords();
  void largestToWords(int largest, int temp, float codes, int scale, int inverse);
  float queryScale() const;

  // Panel.cpp: products of (pairs x units) and (units x 64 lanes)
  /// C[pair][lane] (+)= sum over units of A[pair][unit] * B[unit][lane].
  struct Panel {
    bool keys;                   // A: queries, C: scores; else A: weights, C: sums of the chunk, which are added to
    int pairs, firstLine, lines; // a line is a register of lanes
    int width;                   // lanes of a row of B
    int64_t rowBytes;            // from unit to unit of B
  };
  void keyPanels();
  void valuePanels(int width);
  void pairBlocks(llvm::function_ref<void(int pairs)> body, int64_t aStride, int64_t cStride);
  void panel(const Panel &p);
  void startSums(const Panel &p);
  void startPanels();
  void panelUnit(const Panel &p, int unit);
  void loadElement(const Panel &p, int pair, int64_t offset, int to);
  void loadLine(const Panel &p, int line, int step, int64_t offset, int to);
  void addProduct(int sum, int b, int x, int product);
  void finishScores(const Panel &p);
  void finishSums(const Panel &p);
  int linesTogether(int pairs) const;
  int bLineBytes() const { return v.count * (layout.type == KvType::F16 ? 2 : 4); }
  int aUnitBytes() const { return math == Math::Words ? 16 : math == Math::Bf16 ? 4 : 4 * int(layout.together()); }
  int lanesOf(const Panel &p, int line) const { return std::min(v.count, p.width - (p.firstLine + line) * v.count); }

  // Softmax.cpp: rows and keys that they see
  void softmax();
  void rowBounds();
  void visibleMasks();
  void visibleLanes(int i, int to, int temp);
  void rowDistances();
  void addDistance(int i, int slope, int temp);

  // Weights.cpp: weights in place of scores; maxima and sums
  void softmaxConstants();
  void maximumOfPair(bool masked);
  void weightsOfPair(bool masked);
  void loadScores(int i, bool masked);
  void capScores(int i);
  void raiseMaximum();
  void exp2(int i, int nearest, int polynomial, bool anySign = false);
  void storeWeights(bool masked);
  void storeWords(bool masked);
  int distanceRegister() const;

  // Values.cpp: which positions of a page are added for which rows
  void values();
  void commonUnits(int shift);
  void edges(bool behind, int shift);
  void edgePairs();
  void addSeen();
  void addRow();
  void pairsFrom();
  void addUnits();
  void addHalf(bool upper);

  // Chunks.cpp: from the sums of a chunk to the row's result
  void pairsLoop(llvm::function_ref<void()> body);
  void startRun();
  void startChunk();
  void endChunk();
  void partials(const Xbyak::Reg64 &to, const Xbyak::Reg64 &step, const Xbyak::Address &chunk);
  void mergePair();
  void mergeRow();
  void finishRun();
  void finishPair();
  /// body(byte offset, lanes) over the floats of a head, a register at a time.
  void sweep(llvm::function_ref<void(int, int)> body);

  Assembler &a;
  Lanes v;
  const AttentionDesc &d;
  const AttentionIsa isa;
  const KvLayout stored, layout; // of the cache, and as the products read it
  const Math math;
  const int group;         // query heads per kv head
  const int headsTogether; // at most so many of them at a time
  const int parts;         // of the group
  const int runRows;       // at most so many rows share a tile
  const RowwiseDesc outRow;
  Row out;
  KvWriter writer;
  Rotation rotation;
  bool chunked = false; // what is emitted: a chunk of one row, kv heads in place of rows
  Xbyak::Label keyCode, fullCode, tailCode;

  bool converts() const { return stored.type != layout.type; }
  /// Kv heads of a chunk that are done page by page, in the order of memory.
  int headsOfUnit() const { return parts > 1 ? 1 : int(std::min<int64_t>(d.kvHeads, maxPairs() / group)); }
  int64_t maxPairs() const { return int64_t(runRows) * headsTogether; }
  int64_t tileUnits() const { return kPagePositions / layout.together(); }
  /// How far ahead of its reads a panel fetches: blocks of 64 channels of values, 8 KB or more of them. Keys run into
  /// the values behind them, the last blocks of values into the next part's keys. Of parts that are hardly longer the
  /// next one as a whole.
  int blockBytes() const { return int(kPagePositions * 64 * layout.elementBytes()); }
  int valueBlocks() const { return int((d.headDim + 63) / 64); }
  int aheadBlocks() const { return std::min(valueBlocks(), std::max(1, 8192 / blockBytes())); }
  bool fetchesWholeParts() const { return stored.bytes() <= 12 << 10; }
  int tail() const { return int(d.headDim % 64); }
  // The state of a pair: scores or weights of the page; the chunk's softmax sum as a vector and its maximum; factors of
  // integer queries and weights; maximum and sum of the chunks before.
  static constexpr int kScores = 0, kSum = 256, kMaximum = 320, kQueryScale = 324, kWeightScale = 328,
                       kMergedMaximum = 332, kMergedSum = 336, kEntry = 384;
  int64_t queryStride() const { return roundUp(d.headDim * (math == Math::Bf16 ? 2 : 4), kAlign); }
  int64_t sumStride() const { return roundUp(d.headDim * 4, kAlign); }
  int64_t stateOffset() const { return roundUp(8 * kSlots, kAlign); }
  int64_t queryOffset() const { return stateOffset() + maxPairs() * kEntry; }
  int64_t sumOffset() const { return queryOffset() + maxPairs() * queryStride(); }
  int64_t mergedOffset() const { return sumOffset() + maxPairs() * sumStride(); }
  int64_t scratchOffset() const { return mergedOffset() + maxPairs() * sumStride(); }
  int64_t cleanOffset() const { return scratchOffset() + writer.scratchBytes(); }
  int64_t convertedOffset() const { return cleanOffset() + roundUp(d.headDim * 4, kAlign); }
};

} // namespace llmc
