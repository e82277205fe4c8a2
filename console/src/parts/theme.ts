const KEPT = "theme";
export type Theme = "light" | "dark" | "system";

const dark = matchMedia("(prefers-color-scheme: dark)");

export const theme = (): Theme => (localStorage.getItem(KEPT) as Theme | null) ?? "system";

function apply(): void {
  const chosen = theme();
  document.documentElement.dataset.theme = chosen === "system" ? (dark.matches ? "dark" : "light") : chosen;
}

export function setTheme(chosen: Theme): void {
  localStorage.setItem(KEPT, chosen);
  apply();
}

export function startTheme(): void {
  apply();
  dark.addEventListener("change", apply);
}
