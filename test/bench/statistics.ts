/** What is said of repeated measurements. */

/** A median and how well it is known. */
export interface Figure {
  median: number;
  /** Ends of the 95 % confidence interval of the median; with fewer than six samples, the range. */
  low: number;
  high: number;
  samples: number;
}

/** Two-sided 95 % of the normal distribution, in standard deviations. */
const Z = 1.96;
/** With fewer samples even their whole range is no 95 % interval of the median. */
const INTERVAL_SAMPLES = 6;

/**
 * The median, with the interval that order statistics give: it assumes nothing of the distribution,
 * which on a shared machine has a long tail.
 */
export function figure(samples: readonly number[]): Figure {
  const sorted = samples.toSorted((a, b) => a - b);
  const count = sorted.length;
  const at = (index: number): number => sorted[Math.min(Math.max(index, 0), count - 1)] ?? NaN;
  const margin = (Z * Math.sqrt(count)) / 2;
  const narrow = count >= INTERVAL_SAMPLES;
  return {
    median: (at(Math.floor((count - 1) / 2)) + at(Math.floor(count / 2))) / 2,
    low: at(narrow ? Math.floor(count / 2 - margin) : 0),
    high: at(narrow ? Math.ceil(count / 2 + margin) : count - 1),
    samples: count,
  };
}

export function median(samples: readonly number[]): number {
  return figure(samples).median;
}
