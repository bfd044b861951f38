/**
 * Numbers that look random and are always the same for the same seed: what the lab makes must be reproducible.
 * The generator is sfc32 (public domain, PractRand-tested), seeded through a text hash so that each purpose
 * ("ticks of 2001-09-17") has a stream of its own, whatever else was drawn before.
 */

/** A stream of reproducible numbers. */
export interface Random {
  /** The next number, 0 ≤ x < 1, with 32 random bits. */
  next(): number;
  /** A whole number, `low` ≤ x ≤ `high`. */
  integer(low: number, high: number): number;
  /** One of the given things. */
  pick<T>(things: readonly [T, ...T[]]): T;
  /** A UUID (version 4 form) made of this stream's bits. */
  uuid(): string;
}

/** Four 32-bit words from a text (cyrb128, public domain). */
function hash(text: string): [number, number, number, number] {
  let h1 = 1779033703;
  let h2 = 3144134277;
  let h3 = 1013904242;
  let h4 = 2773480762;
  for (let index = 0; index < text.length; index++) {
    const code = text.charCodeAt(index);
    h1 = h2 ^ Math.imul(h1 ^ code, 597399067);
    h2 = h3 ^ Math.imul(h2 ^ code, 2869860233);
    h3 = h4 ^ Math.imul(h3 ^ code, 951274213);
    h4 = h1 ^ Math.imul(h4 ^ code, 2716044179);
  }
  h1 = Math.imul(h3 ^ (h1 >>> 18), 597399067);
  h2 = Math.imul(h4 ^ (h2 >>> 22), 2869860233);
  h3 = Math.imul(h1 ^ (h3 >>> 17), 951274213);
  h4 = Math.imul(h2 ^ (h4 >>> 19), 2716044179);
  return [h1 ^ h2 ^ h3 ^ h4, h2 ^ h1, h3 ^ h1, h4 ^ h1];
}

/**
 * @param seed any whole number.
 * @param purpose names the stream: streams of different purposes don't depend on each other.
 */
export function createRandom(seed: number, purpose: string): Random {
  let [a, b, c, counter] = hash(`${seed}:${purpose}`);
  const word = (): number => {
    const sum = (a + b + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (c << 21) | (c >>> 11);
    c = (c + sum) | 0;
    return sum >>> 0;
  };
  for (let warmUp = 0; warmUp < 12; warmUp++) word();
  const next = () => word() / 4294967296;
  return {
    next,
    integer: (low, high) => low + Math.floor(next() * (high - low + 1)),
    pick: (things) => things[Math.floor(next() * things.length)] ?? things[0],
    uuid: () => {
      const hex = Array.from({ length: 4 }, () => word().toString(16).padStart(8, "0")).join("");
      const variant = ((parseInt(hex.charAt(16), 16) & 0x3) | 0x8).toString(16);
      return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-${variant}${hex.slice(17, 20)}-${hex.slice(20)}`;
    },
  };
}
