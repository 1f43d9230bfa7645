# Made by softless plot; 'gnuplot figure.gp' draws figure.png and figure.svg.
$p0_0 << END
 0 0.7727 0.0079751698 NaN
 0.25 0.7656 0.00739932429 NaN
 0.5 0.7638 0.00581033562 NaN
 0.75 0.770933333 0.0076823029 NaN
 1 0.794866667 0.00915429468 NaN
 1.25 0.801233333 0.00243059206 NaN
 1.5 0.791333333 0.00339231157 NaN
 1.75 0.789166667 0.00709514701 NaN
 2 0.784666667 0.00117236703 NaN
END
$p0_1 << END
 0 0.7657 0.0102207306 NaN
 0.25 0.772133333 0.00588510361 NaN
 0.5 0.7726 0.00757165768 NaN
 0.75 0.7678 0.00132287566 NaN
 1 0.7869 0.00573962833 NaN
 1.25 0.792 0.000929157324 NaN
 1.5 0.796733333 0.00411555316 NaN
 1.75 0.797866667 0.00358763308 NaN
 2 0.7928 0.00314324673 NaN
END
$p0_2 << END
 0 0.7725 0.00842872074 NaN
 0.25 0.7776 0.002136196 NaN
 0.5 0.787033333 0.00457396011 NaN
 0.75 0.7851 0.00510718448 NaN
 1 0.797366667 0.00207391203 NaN
 1.25 0.8039 0.0031785741 NaN
 1.5 0.799 0.0025716402 NaN
 1.75 0.7978 0.00813961506 NaN
 2 0.796666667 0.00419298356 NaN
END
$p0_3 << END
 0 0.7661 0.00749599893 NaN
 0.25 0.777133333 0.0070927976 NaN
 0.5 0.773 0.00305668666 NaN
 0.75 0.784666667 0.00748338901 NaN
 1 0.7788 0.0123678346 NaN
 1.25 0.798966667 0.00267727058 NaN
 1.5 0.798466667 0.00353097406 NaN
 1.75 0.8003 0.00594081925 NaN
 2 0.798466667 0.00338345648 NaN
END
set datafile missing 'NaN'
set grid xtics ytics back lt 1 lw 0.7 lc rgb '#cccccc'
set bars 0.6
set key noenhanced outside right top
set title noenhanced
set xlabel 'exponent alpha of the factor L^{-alpha}'
do for [form in 'png svg'] {
  if (form eq 'png') { set terminal pngcairo size 896,460 font 'DejaVu Sans,11' } \
  else { set terminal svg size 896,460 font 'DejaVu Sans,12' }
  set output 'figure.'.form
  set multiplot layout 1,1
  set title 'fig3-l49'
  set ylabel 'test accuracy'
  set xrange [-0.06:2.06]
  set yrange [0.750383311:0.812174532]
  plot \
    $p0_0 using 1:2:3 with yerrorbars lc rgb '#0072B2' lw 1.2 ps 0 notitle, \
    $p0_0 using 1:2 with linespoints lc rgb '#0072B2' lw 2 dt 1 pt 7 ps 0.9 title 'relu, qk_norm layernorm', \
    $p0_1 using 1:2:3 with yerrorbars lc rgb '#0072B2' lw 1.2 ps 0 notitle, \
    $p0_1 using 1:2 with linespoints lc rgb '#0072B2' lw 2 dt 2 pt 6 ps 0.9 title 'relu, qk_norm none', \
    $p0_2 using 1:2:3 with yerrorbars lc rgb '#D55E00' lw 1.2 ps 0 notitle, \
    $p0_2 using 1:2 with linespoints lc rgb '#D55E00' lw 2 dt 1 pt 5 ps 0.9 title 'relu2, qk_norm layernorm', \
    $p0_3 using 1:2:3 with yerrorbars lc rgb '#D55E00' lw 1.2 ps 0 notitle, \
    $p0_3 using 1:2 with linespoints lc rgb '#D55E00' lw 2 dt 2 pt 4 ps 0.9 title 'relu2, qk_norm none', \
    1/0 notitle
  unset multiplot
  unset output
}
