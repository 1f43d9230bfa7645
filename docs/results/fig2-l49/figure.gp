# Made by softless plot; 'gnuplot figure.gp' draws figure.png and figure.svg.
$p0_0 << END
 0 0.803966667 0.00808462189 NaN
 2 0.803966667 0.00808462189 NaN
END
$p0_1 << END
 0 0.7847 NaN NaN
 0.25 0.7791 NaN NaN
 0.5 0.7754 NaN NaN
 0.75 0.7762 NaN NaN
 1 0.794866667 0.00915429468 NaN
 1.25 0.7972 NaN NaN
 1.5 0.7858 NaN NaN
 1.75 0.781 NaN NaN
 2 0.787 NaN NaN
END
$p0_2 << END
 0 0.7884 NaN NaN
 0.25 0.7776 NaN NaN
 0.5 0.7928 NaN NaN
 0.75 0.7946 NaN NaN
 1 0.8015 NaN NaN
 1.25 0.803 NaN NaN
 1.5 0.7942 NaN NaN
 1.75 0.7818 NaN NaN
 2 0.7885 NaN NaN
END
$p0_3 << END
 0 0.7802 NaN NaN
 0.25 0.788 NaN NaN
 0.5 0.777 NaN NaN
 0.75 0.7801 NaN NaN
 1 0.7892 NaN NaN
 1.25 0.7857 NaN NaN
 1.5 0.7965 NaN NaN
 1.75 0.7803 NaN NaN
 2 0.7809 NaN NaN
END
$p0_4 << END
 0 0.7695 NaN NaN
 0.25 0.7722 NaN NaN
 0.5 0.7588 NaN NaN
 0.75 0.7748 NaN NaN
 1 0.79 NaN NaN
 1.25 0.7965 NaN NaN
 1.5 0.7983 NaN NaN
 1.75 0.7985 NaN NaN
 2 0.7808 NaN NaN
END
$p0_5 << END
 0 0.7781 NaN NaN
 0.25 0.7719 NaN NaN
 0.5 0.7845 NaN NaN
 0.75 0.7719 NaN NaN
 1 0.7652 NaN NaN
 1.25 0.7969 NaN NaN
 1.5 0.7859 NaN NaN
 1.75 0.7895 NaN NaN
 2 0.7789 NaN NaN
END
$p0_6 << END
 0 0.7847 NaN NaN
 0.25 0.7791 NaN NaN
END
$p0_7 << END
 0 0.7506 NaN NaN
 0.5 0.7565 NaN NaN
 1 0.7905 NaN NaN
 1.5 0.7858 NaN NaN
 2 0.7687 NaN NaN
END
set datafile missing 'NaN'
set grid xtics ytics back lt 1 lw 0.7 lc rgb '#cccccc'
set bars 0.6
set key noenhanced outside right top
set title noenhanced
set ylabel 'test accuracy'
set xlabel 'exponent alpha of the factor L^{-alpha}'
do for [form in 'png svg'] {
  if (form eq 'png') { set terminal pngcairo size 770,460 font 'DejaVu Sans,11' } \
  else { set terminal svg size 770,460 font 'DejaVu Sans,12' }
  set output 'figure.'.form
  set multiplot layout 1,1
  set title 'fig2-l49'
  set xrange [-0.06:2.06]
  set yrange [0.744912923:0.817738366]
  plot \
    $p0_0 using 1:($2-$3):($2+$3) with filledcurves lc rgb '#000000' fs transparent solid 0.12 notitle, \
    $p0_0 using 1:2 with lines lc rgb '#000000' lw 2 dt 2 title 'softmax', \
    $p0_1 using 1:2:3 with yerrorbars lc rgb '#0072B2' lw 1.2 ps 0 notitle, \
    $p0_1 using 1:2 with linespoints lc rgb '#0072B2' lw 2 dt 1 pt 7 ps 0.9 title 'relu', \
    $p0_2 using 1:2 with linespoints lc rgb '#D55E00' lw 2 dt 1 pt 5 ps 0.9 title 'relu2', \
    $p0_3 using 1:2 with linespoints lc rgb '#009E73' lw 2 dt 1 pt 9 ps 0.9 title 'gelu', \
    $p0_4 using 1:2 with linespoints lc rgb '#CC79A7' lw 2 dt 1 pt 11 ps 0.9 title 'softplus', \
    $p0_5 using 1:2 with linespoints lc rgb '#7F7F7F' lw 2 dt 1 pt 13 ps 0.9 title 'identity', \
    $p0_6 using 1:2 with linespoints lc rgb '#56B4E9' lw 2 dt 1 pt 15 ps 0.9 title 'relu6', \
    $p0_7 using 1:2 with linespoints lc rgb '#E69F00' lw 2 dt 1 pt 7 ps 0.9 title 'sigmoid', \
    1/0 notitle
  unset multiplot
  unset output
}
