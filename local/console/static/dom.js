// Elements from plain data: text is always text, never markup.

export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag)
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith('on')) made.addEventListener(name.slice(2), value)
    else if (value === true) made.setAttribute(name, '')
    else if (value !== false && value !== undefined) made.setAttribute(name, value)
  }
  made.append(...children.flat(Infinity).filter(child => child || child === 0).map(each => (
    each instanceof Node ? each : document.createTextNode(String(each))
  )))
  return made
}
