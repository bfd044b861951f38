/** Axes of plots. */

/** Ticks at 1, 2 or 5 times a power of ten, at most ten of them. */
export function ticks(maximum: number): number[] {
  if (maximum <= 0) return [0];
  const power = 10 ** Math.floor(Math.log10(maximum));
  const step =
    [0.1, 0.2, 0.5, 1].map((factor) => factor * power).find((size) => maximum / size <= 10) ?? power;
  return Array.from({ length: Math.floor(maximum / step + 1e-9) + 1 }, (_, index) =>
    Number((index * step).toPrecision(6)),
  );
}
