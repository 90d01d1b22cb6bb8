/** A statement, or a part of one for conditions that are not always asked: values, those in its parts too, are parameters. */
export class Fragment {
  readonly strings: string[]
  readonly values: unknown[] = []

  constructor ([first, ...others]: readonly string[], parts: readonly unknown[]) {
    this.strings = [first as string]
    parts.forEach((part, index) => {
      const { strings: [begin, ...rest], values } = part instanceof Fragment ? part : { strings: ['', ''], values: [part] }
      this.#append(begin as string)
      this.strings.push(...rest)
      this.values.push(...values)
      this.#append(others[index] as string)
    })
  }

  /** As it is sent to PostgreSQL: `$1` for the first of the values. */
  get text (): string { return this.strings.reduce((text, next, index) => `${text}$${index}${next}`) }

  #append (text: string): void { this.strings.push(`${this.strings.pop() as string}${text}`) }
}

export const fragment = (strings: readonly string[], ...values: unknown[]): Fragment => new Fragment(strings, values)

/** Parts, one after the other, with a separator. */
export const joined = (parts: readonly unknown[], separator = ','): Fragment => new Fragment(['', ...Array<string>(parts.length - 1).fill(separator), ''], parts)
