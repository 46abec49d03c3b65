/** One element of `Accept` or `Accept-Encoding`: `text/*;q=0.5`. */
interface Preference {
  range: string;
  /** 0 to 1; 0 refuses. */
  quality: number;
}

function parsePreferences(header: string): Preference[] {
  const preferences: Preference[] = [];
  for (const element of header.split(",")) {
    const [range = "", ...parameters] = element.split(";").map((part) => part.trim().toLowerCase());
    if (range === "") continue;
    const q = parameters.find((parameter) => /^q\s*=/.test(parameter));
    const quality = q === undefined ? 1 : Number(q.slice(q.indexOf("=") + 1));
    // A quality that is no number says nothing of what the client wants: as if it weren't there.
    preferences.push({ range, quality: quality >= 0 && quality <= 1 ? quality : 1 });
  }
  return preferences;
}

/** The one of `offers` with the highest quality, the earlier one at a tie; undefined if all have 0. */
function best<T extends string>(
  offers: readonly T[],
  quality: (offer: T) => number,
): T | undefined {
  let [chosen, highest]: [T | undefined, number] = [undefined, 0];
  for (const offer of offers) {
    const q = quality(offer);
    if (q > highest) [chosen, highest] = [offer, q];
  }
  return chosen;
}

/**
 * The media type to answer with, by RFC 9110 section 12.5.1: of the ranges that match an offer, the
 * most specific one counts. Undefined when the client accepts none of `offers` (406). An offer may have
 * parameters (`text/plain; charset=utf-8`); they and those of a range don't count.
 */
export function preferredType<T extends string>(
  accept: string | undefined,
  offers: readonly T[],
): T | undefined {
  const preferences = parsePreferences(accept ?? "");
  if (preferences.length === 0) return offers[0];
  return best(offers, (offer) => {
    const type = offer.replace(/;.*/, "");
    const ranges = [type, type.replace(/\/.*/, "/*"), "*/*"];
    for (const range of ranges) {
      const match = preferences.find((preference) => preference.range === range);
      if (match !== undefined) return match.quality;
    }
    return 0;
  });
}

/** Content codings that we can apply, best first: zstd takes less time for a smaller body. */
export const ENCODINGS = ["zstd", "gzip"] as const;
export type Encoding = (typeof ENCODINGS)[number];

/** The content coding to answer with, by RFC 9110 section 12.5.3; undefined: send as it is. */
export function preferredEncoding(acceptEncoding: string | undefined): Encoding | undefined {
  const preferences = parsePreferences(acceptEncoding ?? "");
  return best(ENCODINGS, (encoding) => {
    const match =
      preferences.find((preference) => preference.range === encoding) ??
      preferences.find((preference) => preference.range === "*");
    return match?.quality ?? 0;
  });
}
