"""Distribution -> bits -> the same distribution. No models, no sockets.

The base classes; a subclass is found by its name where an option of a method is given:

- Codec (base): the drafts of one round, each with its q̂.
- DistributionCodec (base): one whole distribution as a field of a payload.
- PrecisionCodec (base): such a field of V probabilities in b_p bits each; `precision` of dsd,
  `target_precision` of dsd and dssd.
- CompressedFixedPoint (fixed_point): such a field in fewer than V·b_p bits; `form` of dssd_lean.
- Ranked (enumerative_codec): a Codec whose payload is a single number, for q̂ over a fixed ℓ.
- LatticeCodec (enumerative_codec): a Ranked codec of QS's lattice points; `index` of qs.
- ScalarCodec (scalars): no distribution, only the one probability that a token was drawn with.
"""
