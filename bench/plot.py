"""Line plots as SVG, without a library: two axes, both logarithmic, one line for each name."""

import math

WIDTH, HEIGHT = 360, 300
LEFT, TOP, RIGHT, BOTTOM = 62, 34, 12, 42
COLOURS = ("#0b6e4f", "#1f77b4", "#6a3d9a", "#b15928", "#d62728", "#7f7f7f")


def escape(text):
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def short(number):
    for limit, suffix in ((1e6, "M"), (1e3, "k")):
        if number >= limit:
            return f"{number / limit:g}{suffix}"
    return f"{number:g}"


def decades(values):
    low = math.floor(math.log10(min(values)))
    high = math.ceil(math.log10(max(values)))
    return low, max(high, low + 1)


def panel(title, x_label, y_label, lines, y_range):
    """One plot as SVG elements; `lines`: {name: [(x, y), ...]}."""
    xs = [x for points in lines.values() for x, _ in points]
    x_low, x_high = math.log10(min(xs)), math.log10(max(xs))
    x_low, x_high = (x_low - 0.5, x_high + 0.5) if x_low == x_high else (x_low, x_high)
    y_low, y_high = y_range

    def at(x, y):
        return (LEFT + (math.log10(x) - x_low) / (x_high - x_low) * (WIDTH - LEFT - RIGHT),
                HEIGHT - BOTTOM - (math.log10(y) - y_low) / (y_high - y_low) * (HEIGHT - TOP - BOTTOM))

    out = [f'<text x="{WIDTH / 2}" y="18" text-anchor="middle" font-weight="bold">{escape(title)}</text>']
    for decade in range(y_low, y_high + 1):
        y = at(min(xs), 10**decade)[1]
        out.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="#ddd"/>')
        out.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{short(10.0**decade)}</text>')
    for x in sorted(set(xs)):
        left = at(x, 10**y_low)[0]
        out.append(f'<text x="{left:.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{short(x)}</text>')
    out.append(f'<text x="{(WIDTH + LEFT) / 2}" y="{HEIGHT - 8}" text-anchor="middle">{escape(x_label)}</text>')
    out.append(f'<text x="12" y="{HEIGHT / 2}" text-anchor="middle" '
               f'transform="rotate(-90 12 {HEIGHT / 2})">{escape(y_label)}</text>')
    for number, (name, points) in enumerate(lines.items()):
        colour = COLOURS[number % len(COLOURS)]
        dash = ' stroke-dasharray="5 3"' if number % 2 else ""
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in (at(*point) for point in points))
        out.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"{dash}/>')
        for point in points:
            x, y = at(*point)
            out.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}">'
                       f"<title>{escape(name)}: {point[1]:,.0f} at {short(point[0])}</title></circle>")
    return out


def write_svg(path, panels):
    """`panels`: (title, x label, y label, lines), side by side on one scale with one legend."""
    y_range = decades([y for *_, lines in panels for points in lines.values() for _, y in points])
    names = list(dict.fromkeys(name for *_, lines in panels for name in lines))
    width, height = WIDTH * len(panels), HEIGHT + 28
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
           f'viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="12">',
           f'<rect width="{width}" height="{height}" fill="white"/>']
    for number, (title, x_label, y_label, lines) in enumerate(panels):
        # The same name has the same colour everywhere.
        ordered = {name: lines.get(name, []) for name in names}
        out.append(f'<g transform="translate({number * WIDTH} 0)">')
        out += panel(title, x_label, y_label, ordered, y_range)
        out.append("</g>")
    x = 10
    for number, name in enumerate(names):
        colour = COLOURS[number % len(COLOURS)]
        dash = ' stroke-dasharray="5 3"' if number % 2 else ""
        out.append(f'<line x1="{x}" x2="{x + 22}" y1="{HEIGHT + 12}" y2="{HEIGHT + 12}" '
                   f'stroke="{colour}" stroke-width="2"{dash}/>')
        out.append(f'<text x="{x + 27}" y="{HEIGHT + 16}">{escape(name)}</text>')
        x += 42 + 6 * len(name)
    out.append("</svg>")
    path.write_text("\n".join(out) + "\n")
