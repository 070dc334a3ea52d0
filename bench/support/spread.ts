/**
 * Samples and what is said of them: median, extremes and the tail, and the average beside them.
 *
 * Invariant: every figure of a spread is one of the samples. The tail of a disk is a part of the
 * answer, so nothing is taken out as an outlier.
 */

export interface Spread {
  readonly samples: number;
  readonly median: number;
  readonly min: number;
  readonly max: number;
  readonly p25: number;
  readonly p75: number;
  readonly p99: number;
  readonly p999: number;
}

/** What the samples say, each multiplied by `factor`. NaN in every figure if there are none. */
export function spreadOf(samples: readonly number[], factor = 1): Spread {
  const sorted = Float64Array.from(samples).sort();
  const last = sorted.length - 1;
  const at = (part: number): number => (sorted[Math.round(part * last)] ?? Number.NaN) * factor;
  return {
    samples: sorted.length,
    median: at(0.5),
    min: at(0),
    max: at(1),
    p25: at(0.25),
    p75: at(0.75),
    p99: at(0.99),
    p999: at(0.999),
  };
}

/** NaN if there are no samples. */
export function averageOf(samples: readonly number[]): number {
  return samples.reduce((sum, sample) => sum + sample, 0) / samples.length;
}
