/** What people are told of a stack. */

/** All kinds of notices. */
export const noticeKinds = [
  "opened",
  "closed",
  "failed",
  "unsealed",
  "leaked",
  "not-opened",
  "still-open",
  "test",
] as const;

/**
 * `opened`, `closed`: it went well. `failed`: opening or closing did not. `unsealed`: past its deadline, and its archive is
 * not sealed, so it stays and bills. `leaked`: it outlived its `expires-at`. `not-opened`: on a trading day, and nothing is
 * open or ready. `still-open`: past its closing time. `test`: somebody tries whether it arrives.
 */
export type NoticeKind = (typeof noticeKinds)[number];

/** One thing that people are told. */
export interface Notice {
  kind: NoticeKind;
  /** `dev` or `prod`. */
  stack: string;
  /** `<stack>/<business-date>/<cluster-id>`; null where it is about no cluster. */
  cluster: string | null;
  /** For people: what is, and what to do. May be of several lines; what is longer than 1,500 characters is cut. */
  text: string;
  /** When it was found, RFC 3339. */
  at: string;
  /** EUR per started hour, net, as a decimal text; null or absent where nothing bills or the price is not known. */
  pricePerHour?: string | null;
  /** Where there is more to see: the run that tells. */
  link?: string | null;
}
