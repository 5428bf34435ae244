// What the page needs of Apache ECharts, and no more: esbuild leaves the rest out.
// SVG, so that a chart stays sharp when zoomed or printed.
import { BarChart } from "echarts/charts";
import { GridComponent, MarkAreaComponent, TooltipComponent } from "echarts/components";
import { init, use } from "echarts/core";
import { SVGRenderer } from "echarts/renderers";

use([BarChart, GridComponent, MarkAreaComponent, TooltipComponent, SVGRenderer]);

export { init };
