# Made by softless bench phases; 'gnuplot phases.gp' draws phases.png and phases.svg.
$p0 << END
"softmax" 0.160752 0.436231 6.49277 12.9359 0.276097 0.375728 20.7782 20.5399 20.9684
"relu" 0.154072 0.396579 6.29215 12.8926 0.243562 0.371175 20.4071 20.3887 20.7085
"relu, gate silu" 0.150611 0.381095 6.99311 13.9421 0.281061 0.373414 22.4562 22.2228 22.4874
END
$p1 << END
"softmax" 2.20713 5.66701 23.942 49.6053 1.11687 0.378073 83.1056 81.7954 83.4287
"relu" 2.04597 5.34173 24.005 49.0907 1.02412 0.386698 82.2423 81.5359 82.4685
"relu, gate silu" 2.06387 5.27214 25.9586 53.3563 1.11667 0.375763 88.1688 88.0796 88.9054
END
$p2 << END
"softmax" 34.3831 90.3225 96.4858 198.426 4.51908 0.373113 424.476 423.257 425.454
"relu" 31.3816 82.6537 93.7317 194.229 4.11014 0.40975 408.583 406.917 410.503
"relu, gate silu" 31.5836 83.4627 102.737 212.873 4.53427 0.371942 435.617 430.762 437.252
END
set style data histograms
set style histogram rowstacked
set style fill solid 1 border rgb '#333333'
set boxwidth 0.7
set bars 0.6
set grid ytics back lt 1 lw 0.7 lc rgb '#cccccc'
set key noenhanced outside below horizontal height 1.2
set title noenhanced
set xtics noenhanced nomirror scale 0
set ylabel 'core-hours a million images'
do for [form in 'png svg'] {
  if (form eq 'png') { set terminal pngcairo size 1440,520 font 'DejaVu Sans,11' } \
  else { set terminal svg size 1440,520 font 'DejaVu Sans,12' }
  set output 'phases.'.form
  set multiplot layout 1,3
  set title 'variant S/32, batch 64: L = 50'
  set yrange [0:25.1859]
  set xrange [-0.6:2.6]
  plot \
    $p0 using 2:xtic(1) lc rgb '#56B4E9' title 'forward attention', \
    $p0 using 3:xtic(1) lc rgb '#0072B2' title 'backward attention', \
    $p0 using 4:xtic(1) lc rgb '#D9D9D9' title 'forward rest', \
    $p0 using 5:xtic(1) lc rgb '#8C8C8C' title 'backward rest', \
    $p0 using 6:xtic(1) lc rgb '#009E73' title 'optimizer', \
    $p0 using 7:xtic(1) lc rgb '#E69F00' title 'data', \
    $p0 using 0:9:(0):($10-$9) with vectors heads size 0.03,90 lc rgb '#000000' lw 1.5 notitle, \
    $p0 using 0:10:(sprintf('%.3g', $8)) with labels offset 0,0.8 notitle
  set title 'variant S/16, batch 16: L = 197'
  set yrange [0:99.574]
  set xrange [-0.6:2.6]
  plot \
    $p1 using 2:xtic(1) lc rgb '#56B4E9' title 'forward attention', \
    $p1 using 3:xtic(1) lc rgb '#0072B2' title 'backward attention', \
    $p1 using 4:xtic(1) lc rgb '#D9D9D9' title 'forward rest', \
    $p1 using 5:xtic(1) lc rgb '#8C8C8C' title 'backward rest', \
    $p1 using 6:xtic(1) lc rgb '#009E73' title 'optimizer', \
    $p1 using 7:xtic(1) lc rgb '#E69F00' title 'data', \
    $p1 using 0:9:(0):($10-$9) with vectors heads size 0.03,90 lc rgb '#000000' lw 1.5 notitle, \
    $p1 using 0:10:(sprintf('%.3g', $8)) with labels offset 0,0.8 notitle
  set title 'variant S/8, batch 4: L = 785'
  set yrange [0:489.722]
  set xrange [-0.6:2.6]
  plot \
    $p2 using 2:xtic(1) lc rgb '#56B4E9' title 'forward attention', \
    $p2 using 3:xtic(1) lc rgb '#0072B2' title 'backward attention', \
    $p2 using 4:xtic(1) lc rgb '#D9D9D9' title 'forward rest', \
    $p2 using 5:xtic(1) lc rgb '#8C8C8C' title 'backward rest', \
    $p2 using 6:xtic(1) lc rgb '#009E73' title 'optimizer', \
    $p2 using 7:xtic(1) lc rgb '#E69F00' title 'data', \
    $p2 using 0:9:(0):($10-$9) with vectors heads size 0.03,90 lc rgb '#000000' lw 1.5 notitle, \
    $p2 using 0:10:(sprintf('%.3g', $8)) with labels offset 0,0.8 notitle
  unset multiplot
  unset output
}
