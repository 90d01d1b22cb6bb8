/** Whole seconds since 1970, as tokens have them. */
export const unixSeconds = (now: Date): number => Math.floor(now.getTime() / 1000)
